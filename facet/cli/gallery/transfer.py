"""``facet gallery export`` and ``import``: a gallery of a server to a Parquet file, and back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from facet import AlreadyExists, Client
from facet.cli.gallery.age_options import EncryptTo, Identity, age_failures, identities, recipients
from facet.cli.gallery.migrate.standing.steps import Steps
from facet.terminal import console, private_files
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted, in_bytes
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.rendering import as_dict
from facet.terminal.visible import one_line
from facet.v1 import gallery_service_pb2 as pb
from gallery.encryption import age

CHUNK_BYTES = 1 << 20
_PAGE = 1000


@grouped_options
def export_gallery(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Replace FILE if it exists.")] = False,
    encrypt_to: EncryptTo = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Write a gallery of a running server to a Parquet file, with embeddings and kept crops.

    FILE appears once it is complete and its SHA-256 is verified. It is readable by its owner only. It holds everybody
    who is enrolled now; if you forget somebody later, delete it as well. With --encrypt-to only the owner of that key
    can read it, and nothing that is not encrypted is written to the disk. The SHA-256 is that of the Parquet file.
    """
    readers = recipients(encrypt_to)
    if file.exists() and not replace:
        console.fail(f"{file} exists: add --replace to replace it")
    with (
        connection.open() as client,
        console.telling_when_stopped(lambda: f"{file} was not written"),
        interrupted_by_sigterm(),
        _appearing(file) as written,
    ):
        receiving = _Receiving(client, gallery)
        with console.progress("exporting", receiving.expected) as bar, age_failures():
            pieces = receiving.pieces(lambda templates: bar.update(bar.task_ids[0], completed=templates))
            if readers:
                age.encrypt(pieces, written, readers)
            else:
                written.writelines(pieces)
        templates, digest = receiving.templates, receiving.digest.hexdigest()
        size = written.tell()
        pairs = _pairs_told_apart(client, gallery)
    if as_json:
        said = {"gallery": gallery, "file": str(file), "templates": templates, "bytes": size, "sha256": digest}
        console.print_json(said | {"encrypted": bool(readers), "distinct_pairs": pairs})
    else:
        encrypted = ", encrypted" if readers else ""
        console.out.print(
            f"{gallery}: {counted(templates, 'template')}{_with_pairs(pairs)} in {file}, {in_bytes(size)}{encrypted}, "
            f"SHA-256 {digest}"
        )


@grouped_options
def import_gallery(
    file: Annotated[Path, typer.Argument(help="A file that export wrote.", show_default=False)],
    gallery: Annotated[str, typer.Option(help="The new gallery's id. Default: the one in the file.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, keep nothing.")] = False,
    identity: Identity = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Create a gallery on a running server from an exported file: all of it, or nothing.

    The server refuses a damaged file, a file of another embedding contract, and the id of a gallery that exists. It
    names the line and the field of a wrong value. A file that is encrypted by age is decrypted on its way.
    """
    secrets = identities(file, identity)
    with (
        connection.open() as client,
        console.telling_when_stopped(lambda: "nothing was imported, unless the server had just finished"),
        interrupted_by_sigterm(),
        _opened(file) as opened,
        console.progress("importing", os.fstat(opened.fileno()).st_size) as bar,
    ):

        def pieces() -> Iterator[bytes]:
            read = age.decrypt(opened, secrets) if secrets else iter(lambda: opened.read(CHUNK_BYTES), b"")
            for piece in read:
                yield piece
                bar.advance(bar.task_ids[0], len(piece))

        with age_failures(), _taken():
            imported = client.import_gallery(pieces(), gallery, validate_only=dry_run)
        pairs = 0 if dry_run else _pairs_told_apart(client, imported.gallery_id)
    if as_json:
        known = {} if dry_run else {"distinct_pairs": pairs}
        console.print_json({"dry_run": dry_run, **as_dict(imported), **known})
    else:
        people = counted(imported.subject_count, "person")
        counts = f"{counted(imported.template_count, 'template')} of {people}{_with_pairs(pairs)}"
        verb = "would be imported" if dry_run else "imported"
        console.out.print(f"{imported.gallery_id}: {counts} {verb}")
        if imported.HasField("migration"):
            target = one_line(imported.migration.to_model.name)
            shows = Steps(imported.gallery_id, connection.address).status()
            console.out.print(f"It is in the middle of a migration to {target}. What comes next: {shows.command}")


@contextmanager
def _taken() -> Iterator[None]:
    """Name the option that helps if the gallery's id is taken."""
    try:
        yield
    except AlreadyExists as error:
        if error.reason != "GALLERY_EXISTS":
            raise
        console.fail(f"{error.reason}: {error.message}; --gallery NAME imports under another id")


def _pairs_told_apart(client: Client, gallery: str) -> int:
    return sum(1 for _ in client.iter_distinct(gallery, page_size=_PAGE))


def _with_pairs(pairs: int) -> str:
    return f" and {counted(pairs, 'pair')} told apart" if pairs else ""


class _Receiving:
    """An export as it arrives."""

    def __init__(self, client: Client, gallery: str) -> None:
        self._client = client
        self._gallery = gallery
        self.expected = client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery.template_count
        self.templates = 0
        self.digest = hashlib.sha256()

    def pieces(self, progress: Callable[[int], None]) -> Iterator[bytes]:
        """Receive the file, and call ``progress`` with the number of templates so far."""

        def advance(templates: int) -> None:
            self.templates = templates
            progress(templates)

        for piece in self._client.export_gallery(self._gallery, progress=advance):
            self.digest.update(piece)
            yield piece


@contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """A file that only its owner can read, and that appears once it is complete and on disk."""
    try:
        with private_files.appearing(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        console.fail(f"cannot write {path}: {error.strerror}")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        console.fail(f"cannot read {path}: {error.strerror}", console.USAGE)
