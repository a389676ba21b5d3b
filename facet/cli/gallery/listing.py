"""``facet gallery list`` and ``delete``: the galleries of a server."""

from __future__ import annotations

from typing import Annotated

import typer

from facet.cli.gallery.migrate.standing.report import in_a_word
from facet.cli.gallery.migrate.standing.steps import Steps
from facet.cli.shared.confirmation import Yes, confirm
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.connection import Connection
from facet.terminal.counts import counted
from facet.terminal.rendering import as_dict, calibration_state, threshold_source
from facet.terminal.tables import number, table
from facet.terminal.visible import one_line

_PAGE = 1000


@grouped_options
def list_galleries(
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """List the galleries of a running server, with their thresholds, calibrations and migrations."""
    with connection.open() as client:
        galleries = list(client.iter_galleries(page_size=_PAGE))
    if as_json:
        console.print_json({"galleries": [as_dict(gallery) for gallery in galleries]})
        return
    if not galleries:
        console.out.print(f"no galleries: {spelled('facet enroll')} creates one")
        return
    rows = table(
        "gallery",
        number("subjects"),
        number("templates"),
        number("threshold"),
        "threshold from",
        "calibration",
        title=f"{connection.address}: {counted(len(galleries), 'gallery')}",
    )
    for gallery in galleries:
        counts = str(gallery.subject_count), str(gallery.template_count)
        threshold = f"{gallery.threshold:.4f}", threshold_source(gallery)
        rows.add_row(gallery.gallery_id, *counts, *threshold, calibration_state(gallery))
    console.out.print(rows)
    for gallery in galleries:
        if gallery.problem:
            console.out.print(f"cannot be searched: {one_line(gallery.problem)}")
        if gallery.HasField("migration"):
            status = Steps(gallery.gallery_id, connection.address).status().command
            console.out.print(f"{gallery.gallery_id} migrates {in_a_word(gallery.migration)}; {status}")


@grouped_options
def delete_gallery(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Delete it even if people are enrolled.")] = False,
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Delete a gallery of a running server, and forget everybody in it. This cannot be undone."""
    with connection.open() as client:
        found = client.get_gallery(gallery)
        people = counted(found.subject_count, "person")
        lost = f"{people} with {counted(found.template_count, 'template')}"
        if found.subject_count and not force:
            console.fail(f"GALLERY_NOT_EMPTY: {gallery} holds {lost}: --force deletes them, too")
        confirm(f"Delete {gallery}, and forget {lost}?", yes=yes)
        client.delete_gallery(gallery, force=force)
    if as_json:
        forgotten = {"subjects_deleted": found.subject_count, "templates_deleted": found.template_count}
        console.print_json({"gallery": gallery} | forgotten)
    else:
        console.out.print(f"deleted {gallery}, and forgot {lost}")
