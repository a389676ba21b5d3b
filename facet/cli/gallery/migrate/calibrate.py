"""``facet gallery migrate calibrate``: choose the threshold of the model that does not search, beside the other one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import typer
from rich.table import Table

from facet import FailedPrecondition
from facet.cli.calibrate.calibration import Calibration
from facet.cli.calibrate.options import CalibrationOptions
from facet.cli.gallery.migrate.options import Gallery
from facet.cli.gallery.migrate.refusals import refusals
from facet.cli.gallery.migrate.standing.report import print_steps
from facet.cli.gallery.migrate.standing.sides import Side, check_migrates, sides
from facet.cli.gallery.migrate.standing.steps import Steps, next_steps
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import agreeing, counted
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.rendering import as_dict, percent
from facet.terminal.tables import number, table
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import migrations_pb2 as migrations_pb


@grouped_options
def calibrate(
    gallery: Gallery,
    options: CalibrationOptions,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Choose the threshold of the model that does not search, from evidence, as [b]facet calibrate[/b] does.

    The threshold applies once that model searches. The same evidence is also searched with the model that searches now,
    which changes nothing: the command shows what both would do, each at its own threshold for this FPIR.

    [b]Examples[/b]

      facet gallery migrate calibrate team --fpir 0.01 --strangers strangers/
      facet gallery migrate calibrate team --protocol lfw.csv --images lfw/
      facet gallery migrate calibrate team --cohort visitors

    Exit code: 0 success, 1 failure, an unreliable threshold or unreadable pictures, 2 bad usage.
    """
    steps = Steps(gallery, connection.address)
    calibration = Calibration(gallery, options, connection, "facet gallery migrate calibrate")
    with (
        connection.open() as client,
        refusals(steps, "calibrate"),
        interrupted_by_sigterm(),
        console.telling_when_stopped(lambda: "the threshold is as it was, unless the server had just finished"),
    ):
        found = client.get_gallery(gallery)
        check_migrates(found, steps.start())
        searching, other = sides(found)
        _warn_of_gaps(found.migration, other)
        calibration.prepare(client, found.etag)
        doing = "searching with {}"
        before = None
        try:
            calibration.request = replace(calibration.request, model=searching.name)
            before = calibration.ask(client, dry_run=True, doing=doing.format(searching.name))
            calibration.request = replace(calibration.request, model=other.name)
            response = calibration.ask(client, contract=other.model.contract, doing=doing.format(other.name))
        except FailedPrecondition as error:
            calibration.report_refusal(
                client, error, found.migration.threshold, contract=other.model.contract, as_json=as_json
            )
            if before is not None and not as_json:
                console.err.print(_table(gallery, {searching.name: before}))
            raise typer.Exit(console.FAILED) from None
        is_written = calibration.write_page(client, response)
        found = client.get_gallery(gallery)
    calibration.report(response, as_json=as_json, more={"searching_model": as_dict(before)})
    if not as_json:
        _compare(gallery, searching, other, before, response)
        print_steps(next_steps(found, steps))
    raise typer.Exit(console.DONE if calibration.is_complete and is_written else console.FAILED)


def _warn_of_gaps(migration: migrations_pb.Migration, other: Side) -> None:
    """Say that a threshold may be too low, because fewer templates are searched than there will be."""
    without = migration.templates_waiting + migration.templates_missing
    if without:
        console.err.print(
            f"{counted(without, 'template')} {agreeing(without, 'has')} no embedding of {other.name} and "
            f"{agreeing(without, 'is')} not searched yet: calibrate again when they are"
        )


def _compare(
    gallery: str,
    searching: Side,
    other: Side,
    before: pb.CalibrateGalleryResponse,
    response: pb.CalibrateGalleryResponse,
) -> None:
    console.out.print(_table(gallery, {searching.name: before, other.name: response}))
    console.out.print(
        f"{searching.name} searches with a threshold of {searching.threshold:.4f} now; this command leaves it as it is."
    )


def _table(gallery: str, responses: Mapping[str, pb.CalibrateGalleryResponse]) -> Table:
    """Put the forecasts of models side by side."""
    rows = table("the same evidence", *map(number, responses), title=f"{gallery}: each model at its own threshold")
    forecasts = [each.forecast for each in responses.values()]
    rows.add_row("threshold", *(f"{each.calibration.threshold:.4f}" for each in responses.values()))
    rows.add_row("unknown people who match (FPIR)", *(percent(each.fpir) for each in forecasts))
    rows.add_row("  95 % interval", *(_interval(each.fpir_low, each.fpir_high) for each in forecasts))
    known = [each.HasField("fnir") for each in forecasts]
    missed = (percent(each.fnir) if has else "not known" for each, has in zip(forecasts, known, strict=True))
    rows.add_row("enrolled people's pictures missed (FNIR)", *missed)
    if all(known):
        rows.add_row("  95 % interval", *(_interval(each.fnir_low, each.fnir_high) for each in forecasts))
    return rows


def _interval(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}"
