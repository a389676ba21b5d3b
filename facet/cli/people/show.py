"""``facet people show``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from facet.cli.people.consent import expiry
from facet.cli.people.missing import subject_errors
from facet.cli.people.options import Gallery, SubjectId, utc
from facet.cli.shared import terms
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted
from facet.terminal.pictures.files import NOT_REGULAR, find_pictures, is_special
from facet.terminal.rendering import as_dict
from facet.v1 import gallery_service_pb2 as pb


@grouped_options
def show(
    subject: SubjectId,
    gallery: Gallery = "default",
    pictures: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Folder of the original pictures, or one picture: name the file of each template. May be repeated.",
            show_default=False,
        ),
    ] = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Show a person and their templates.

    The server keeps the SHA-256 of a picture, not the picture or its path. With [b]--pictures[/b] the originals are
    hashed and the file of each template is named, even if it was renamed or moved since.
    """
    with connection.open() as client, subject_errors(client, gallery, subject):
        person = client.get_subject(gallery, subject)
        templates = list(client.iter_templates(gallery, subject))
    files = None if pictures is None else _files_of({each.picture_sha256 for each in templates}, pictures)
    if as_json:
        console.print_json({"subject": as_dict(person), "templates": [_plain(each, files) for each in templates]})
    else:
        _print(person, templates, files)


def _files_of(digests: set[str], sources: list[Path]) -> dict[str, Path]:
    """Find the pictures with these hexadecimal SHA-256 digests; a file that cannot be read is reported and skipped."""
    found: dict[str, Path] = {}
    candidates = find_pictures(sources)
    with console.progress("hashing", len(candidates)) as bar:
        for path in candidates:
            if found.keys() == digests:
                break
            try:
                digest = _digest(path)
            except OSError as error:
                console.err.print(f"cannot read {path}: {error.strerror}")
            else:
                if digest in digests:
                    found.setdefault(digest, path)
            bar.advance(bar.task_ids[0])
    return found


def _digest(path: Path) -> str:
    if is_special(path):
        raise OSError(None, NOT_REGULAR)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(template: pb.Template, files: dict[str, Path] | None) -> dict[str, object]:
    if files is None:
        return as_dict(template)
    path = files.get(template.picture_sha256)
    return as_dict(template) | {"picture_path": None if path is None else str(path)}


def _print(person: pb.Subject, templates: list[pb.Template], files: dict[str, Path] | None) -> None:
    name = f"{person.subject_id}: {person.display_name or 'no name'}"
    console.out.print(f"{name}, {counted(len(templates), 'template')}, enrolled {utc(person.create_time)} UTC")
    if person.HasField("consent"):
        console.out.print(f"consent: {terms.describe(person.consent)}")
    if person.HasField("effective_expire_time"):
        console.out.print(expiry(person))
    for each in templates:
        has_expiry = each.HasField("effective_expire_time")
        until = f", expires {utc(each.effective_expire_time)} UTC" if has_expiry else ""
        console.out.print(f"{each.template_id}  quality {each.quality:.2f}  {utc(each.create_time)} UTC{until}")
        path = None if files is None else files.get(each.picture_sha256)
        picture = f"picture with SHA-256 {each.picture_sha256[:16]}..." if path is None else str(path)
        missing = ", not in --pictures" if files is not None and path is None else ""
        console.out.print(f"    {picture}{missing}")
    if templates and files is None:
        console.out.print("--pictures FOLDER names the file of each template")
