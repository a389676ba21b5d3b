"""The commands export and import of scripts/gallery.py: a gallery into a file, and a file into a gallery."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from facet import Client
from facet.terminal import console
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.rendering import as_dict
from facet.v1 import gallery_service_pb2 as pb

CHUNK_BYTES = 1 << 20


def export_gallery(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="The file to make.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Also where FILE is there already.")] = False,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Write a gallery of a running server into a Parquet file, embeddings and kept crops included.

    FILE appears when all of it has come and its SHA-256 was verified; only its owner can read it. It holds everybody
    who is enrolled now: when they are forgotten later, delete it as well.
    """
    if file.exists() and not replace:
        console.fail(f"{file} is there already: say --replace to have it replaced")
    with (
        console.connect(address, token, root_certificates) as client,
        interrupted_by_sigterm(),
        _appearing(file) as written,
    ):
        templates, digest = _receive(client, gallery, written)
        size = written.tell()
    if as_json:
        said = {"gallery": gallery, "file": str(file), "templates": templates, "bytes": size, "sha256": digest}
        console.print_json(said)
    else:
        console.out.print(f"{gallery}: {templates} templates in {file}, {size / 1e6:.1f} MB, SHA-256 {digest}")


def import_gallery(
    file: Annotated[Path, typer.Argument(help="What export has made.", show_default=False)],
    gallery: Annotated[str, typer.Option(help="The id of the new gallery instead of the file's.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, keep nothing.")] = False,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Make a gallery of a running server from a file that export has made: the whole of it, or nothing.

    The server refuses a file of another embedding contract, a gallery that is there already, and a damaged file; of a
    line with a bad field it says which.
    """
    with (
        console.connect(address, token, root_certificates) as client,
        interrupted_by_sigterm(),
        _opened(file) as opened,
        console.progress("importing", os.fstat(opened.fileno()).st_size) as bar,
    ):

        def pieces() -> Iterator[bytes]:
            while piece := opened.read(CHUNK_BYTES):
                yield piece
                bar.advance(bar.task_ids[0], len(piece))

        imported = client.import_gallery(pieces(), gallery, validate_only=dry_run)
    if as_json:
        console.print_json({"dry_run": dry_run, **as_dict(imported)})
    else:
        counts = f"{imported.template_count} templates of {imported.subject_count} people"
        verb = "would be imported" if dry_run else "imported"
        console.out.print(f"{imported.gallery_id}: {counts} {verb}")


def _receive(client: Client, gallery: str, file: BinaryIO) -> tuple[int, str]:
    """Write what comes; how many templates it holds, and its SHA-256."""
    expected = client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery.template_count
    digest = hashlib.sha256()
    with console.progress("exporting", expected) as bar:

        def advance(templates: int) -> None:
            bar.update(bar.task_ids[0], completed=templates)

        for piece in client.export_gallery(gallery, progress=advance):
            digest.update(piece)
            file.write(piece)
        return int(bar.tasks[0].completed), digest.hexdigest()


@contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """A file that only its owner can read, and that is there once it is whole and on the disk."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        console.fail(f"cannot write {path}: {error.strerror}")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except OSError as error:
        console.fail(f"cannot write {path}: {error.strerror}")
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        console.fail(f"cannot read {path}: {error.strerror}", console.USAGE)
