"""``facet gallery migrate fill``: make missing embeddings from a folder of the original pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from facet.cli.gallery.migrate.gaps import originals
from facet.cli.gallery.migrate.gaps.listing import PAGE, print_gaps, summary
from facet.cli.gallery.migrate.gaps.originals import Original
from facet.cli.gallery.migrate.options import Gallery
from facet.cli.gallery.migrate.refusals import refusals
from facet.cli.gallery.migrate.standing.report import print_steps
from facet.cli.gallery.migrate.standing.steps import Steps, next_steps
from facet.cli.shared.reasons import in_words
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted, first
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.pictures.files import most_bytes, tell
from facet.terminal.rendering import as_dict
from facet.terminal.tables import listing
from facet.terminal.visible import one_line, printable
from facet.v1 import migrations_pb2 as pb


@grouped_options
def fill(
    gallery: Gallery,
    folder: Annotated[
        Path, typer.Argument(help="A folder with the pictures that people were enrolled from.", show_default=False)
    ],
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Make missing embeddings from the original pictures in a folder and its sub-folders.

    A picture is found by the SHA-256 of its bytes: files may have any names, but must be unchanged. Only pictures of
    templates without an embedding are sent. It is made of the face that the template was enrolled from. The command can
    be repeated, also with other folders.

    Hidden files and what systems put into folders ([i]@eaDir[/i], [i]Thumbs.db[/i]) are left out and named.

    [b]Examples[/b]

      facet gallery migrate fill team originals/
      facet gallery migrate fill team /archive/2024 --json

    Exit code: 0 no embedding is missing any more, 1 some are or something failed, 2 bad usage, 130 stopped by Ctrl-C.
    """
    if not folder.is_dir():
        raise typer.BadParameter(f"there is no folder {folder}", param_hint="FOLDER")
    steps = Steps(gallery, connection.address)
    done: list[Original] = []
    with connection.open() as client, refusals(steps, "fill"):
        gaps = originals.missing(client.iter_migration_gaps(gallery, page_size=PAGE))
        paths, left_out = originals.find(folder) if gaps else ([], [])
        tell(left_out)
        with (
            console.telling_when_stopped(lambda: f"{_filled(done)}; repeat the command to continue"),
            interrupted_by_sigterm(),
            console.progress("reading", len(paths), unit="files") as bar,
        ):
            for each in originals.fill(client, gallery, paths, gaps, most_bytes(client)):
                done.append(each)
                bar.advance(bar.task_ids[0])
        done.sort(key=lambda each: each.path)
        still = originals.missing(client.iter_migration_gaps(gallery, page_size=PAGE))
        found = client.get_gallery(gallery)
    if as_json:
        said = {"left_out": [{"path": printable(str(each.path)), "reason": each.reason} for each in left_out]}
        console.print_json({"gallery": gallery} | _plain(done) | said | {"missing": [as_dict(each) for each in still]})
    elif not gaps:
        console.out.print(f"{gallery}: no embedding is missing that the server does not make by itself")
    else:
        _print(gallery, folder, done, still, found.migration)
        print_steps(next_steps(found, steps))
    raise typer.Exit(console.FAILED if still or any(each.reason for each in done) else console.DONE)


def _print(
    gallery: str,
    folder: Path,
    done: Sequence[Original],
    still: Sequence[pb.MigrationGap],
    migration: pb.Migration,
) -> None:
    rows = listing(f"{gallery}: original pictures in {one_line(str(folder))}")
    rows.add_row("filled", _filled(done))
    without = [each for each in _answered(done) if each.answer and each.answer.not_found]
    rows.add_row("no face where it was", _pictures(without))
    rows.add_row(
        "not needed", f"{counted(sum(map(_is_unneeded, done)), 'file')}: no template misses an embedding of them"
    )
    for each in done:
        if each.reason:
            rows.add_row(f"failed: {in_words(each.reason)}", f"{one_line(str(each.path))}: {each.message}")
    console.out.print(rows)
    if still:
        console.out.print(f"still missing: {summary(still, migration)}")
        print_gaps(still, migration)


def _answered(done: Iterable[Original]) -> list[Original]:
    return [each for each in done if each.answer is not None]


def _is_unneeded(each: Original) -> bool:
    """Whether a file was not sent, or sent for a template that had got its embedding or was deleted meanwhile."""
    if each.reason:
        return False
    return each.answer is None or not (each.answer.templates or each.answer.not_found)


def _filled(done: Iterable[Original]) -> str:
    """Count the embeddings that were made, and whose they are."""
    templates = [each for original in done if original.answer for each in original.answer.templates]
    people = counted(len({each.subject_id for each in templates}), "person")
    return f"{counted(len(templates), 'template')} of {people}"


def _pictures(found: Sequence[Original]) -> str:
    """Count pictures, and name the first ones."""
    return f"{len(found)}: {first([one_line(str(each.path)) for each in found])}" if found else "0"


def _plain(done: Iterable[Original]) -> dict[str, Any]:
    files = list(done)
    return {
        "filled": sum(len(each.answer.templates) for each in files if each.answer),
        "not_needed": sum(map(_is_unneeded, files)),
        "pictures": [
            {
                "path": printable(str(each.path)),
                "filled": [as_dict(one) for one in each.answer.templates] if each.answer else [],
                "not_found": [as_dict(one) for one in each.answer.not_found] if each.answer else [],
                "reason": each.reason,
                "message": each.message,
            }
            for each in files
            if not _is_unneeded(each)
        ],
    }
