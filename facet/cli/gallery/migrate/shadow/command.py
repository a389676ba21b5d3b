"""``facet gallery migrate shadow``: both models on live identifications, compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from facet.cli.gallery.migrate.options import Gallery
from facet.cli.gallery.migrate.refusals import refusals
from facet.cli.gallery.migrate.shadow import figures
from facet.cli.gallery.migrate.shadow.figures import Models
from facet.cli.gallery.migrate.shadow.page import page as page_of
from facet.cli.gallery.migrate.standing.report import as_plain, print_steps
from facet.cli.gallery.migrate.standing.sides import check_migrates, sides
from facet.cli.gallery.migrate.standing.steps import Step, Steps, next_steps
from facet.terminal import console, private_files
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.rendering import as_dict, percent
from facet.terminal.tables import listing, number, table, whole
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb

_SHOWN = 10
"""Disagreements in the table."""


@grouped_options
def shadow(
    gallery: Gallery,
    share: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Set the share of live identifications to compare; 0: none.", show_default=False
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write the report as a page, with the faces they disagree about.",
            show_default=False,
        ),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was compared, after it is shown.")] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Compare both models on live identifications: how they agree, on whom they do not, and what each costs.

    With [b]--share[/b] a share of identifications is searched with both models from now on; callers get the answer of
    the model that searches. The server drops comparisons while it has more urgent work. Without [b]--share[/b] the
    command shows what was compared since then, or since the server started. Faces are on the page only where the server
    may keep them ([b]enrollment.keep_crops[/b]).

    [b]Examples[/b]

      facet gallery migrate shadow team --share 0.1
      facet gallery migrate shadow team
      facet gallery migrate shadow team --page shadow.html
      facet gallery migrate shadow team --share 0
    """
    if share is not None and (page is not None or reset):
        raise typer.BadParameter("--share changes what is compared; --page and --reset are for the report")
    steps = Steps(gallery, connection.address)
    with connection.open() as client, refusals(steps, "shadow"):
        if share is not None:
            client.update_migration(gallery, shadow_share=share)
            found = client.get_gallery(gallery)
            if as_json:
                console.print_json(as_plain(found, steps))
                return
            said = (
                f"{percent(share)} of live identifications are searched with both models"
                if share
                else "none is compared"
            )
            console.out.print(f"{gallery}: {said}")
            console.out.print(f"next: {steps.typed('shadow')}  # shows how they agree, after a while")
            return
        found = client.get_gallery(gallery)
        check_migrates(found, steps.start())
        report = client.get_shadow_report(gallery, include_crops=page is not None, reset=reset)
        searching, other = sides(found)
        models = Models(searching.name, other.name, (searching.threshold, other.threshold))
        if page is not None:
            try:
                private_files.write(page, page_of(client, gallery, report, models))
            except OSError as error:
                console.fail(f"cannot write {page}: {error.strerror}")
    if as_json:
        plain = as_dict(report)
        for each in plain["disagreements"]:
            each.pop("crop_png", None)
        console.print_json({"gallery": gallery, "shadow_share": found.migration.shadow_share} | plain)
        return
    _print(gallery, report, models)
    if page is not None:
        console.out.print(f"The report with the faces is in {page}; only you can read it.")
    if report.faces or found.migration.shadow_share:
        print_steps(list(_next_steps(found, report, steps, has_page=page is not None)))
    else:
        console.out.print(
            f"next: {steps.typed('shadow', '--share', '0.1')}  # compares a tenth of live identifications"
        )


def _next_steps(
    found: gallery_pb.Gallery, report: pb.GetShadowReportResponse, steps: Steps, *, has_page: bool
) -> Iterator[Step]:
    """Yield what comes next for somebody who has just seen the report."""
    yield from (each for each in next_steps(found, steps) if each.command != steps.typed("shadow"))
    if report.disagreements and not has_page:
        yield Step(steps.typed("shadow", "--page", "shadow.html"), "writes a page of the faces they disagree about")


def _print(gallery: str, report: pb.GetShadowReportResponse, models: Models) -> None:
    rows = listing(f"{gallery}: {models.searching} answers, {models.other} is compared")
    for row in figures.summary(report):
        rows.add_row(*row)
    console.out.print(rows)
    if not report.faces:
        return
    decided = table(*figures.decision_columns(models))
    for row in figures.decisions(report):
        decided.add_row(*row)
    console.out.print(decided)
    values = table("similarity of the best subject", number(models.searching), number(models.other))
    for row in figures.similarities(report, models.thresholds):
        values.add_row(*row)
    console.out.print(values)
    bars = table(whole("similarity"), whole(models.searching), whole(models.other))
    for row in figures.histogram(report):
        bars.add_row(*row)
    console.out.print(bars)
    if report.disagreements:
        latest = table(whole("latest disagreements, UTC"), models.searching, models.other)
        for row in figures.disagreements(report.disagreements[:_SHOWN]):
            latest.add_row(*row)
        console.out.print(latest)
        if len(report.disagreements) > _SHOWN:
            console.out.print(f"... and {len(report.disagreements) - _SHOWN} more; --json lists them")
