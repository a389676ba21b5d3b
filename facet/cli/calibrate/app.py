"""``facet calibrate``: set a gallery's threshold for a target FPIR, from evidence."""

from __future__ import annotations

from typing import Annotated

import typer

from facet import FailedPrecondition
from facet.cli.calibrate.calibration import Calibration
from facet.cli.calibrate.options import CalibrationOptions
from facet.terminal import console
from facet.terminal.command_line.help import Command
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.interruption import interrupted_by_sigterm

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(cls=Command)
@grouped_options
def main(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    options: CalibrationOptions,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Set a gallery's threshold so that unknown people match at a chosen rate, and keep the evidence.

    The evidence is nonmated searches: pictures of unknown people, or of a labelled set. A picture of one of the
    gallery's own subjects may be among them; its search leaves that subject out. Without pictures, the gallery's people
    are searched for among each other and, with [b]--cohort[/b], in another gallery. More searches make the interval
    narrower. A target FPIR of 0.01 needs at least 100 pictures, of 50 people, or about 250 people in the gallery where
    it is calibrated without pictures. A picture without a face counts as a search without a match. An unreadable file
    does not count, and is reported.

    The command says what the threshold will do: how many unknown people match (FPIR), how many pictures of enrolled
    people match nobody (FNIR, measured with the gallery's own pictures), and how many people seem to be enrolled twice
    or with wrong pictures. A threshold that is unreliable is not set, unless you [b]--insist[/b].

    [b]Examples[/b]

      facet calibrate team --fpir 0.01 --strangers strangers/
      facet calibrate team --protocol lfw.csv --images lfw/ --dry-run
      facet calibrate team --fpir 0.003 --for-templates 5000
      facet calibrate team --cohort visitors
      facet calibrate team --dry-run --page suspects.html

    Exit code: 0 success, 1 failure, an unreliable threshold or unreadable pictures, 2 bad usage.
    """
    calibration = Calibration(gallery, options, connection)
    with (
        connection.open() as client,
        interrupted_by_sigterm(),
        console.telling_when_stopped(lambda: "the threshold is as it was, unless the server had just finished"),
    ):
        before = client.get_gallery(gallery)
        calibration.prepare(client, before.etag)
        try:
            response = calibration.ask(client)
        except FailedPrecondition as error:
            calibration.report_refusal(client, error, before.threshold, as_json=as_json)
            raise typer.Exit(console.FAILED) from None
        is_written = calibration.write_page(client, response)
    calibration.report(response, as_json=as_json)
    raise typer.Exit(console.DONE if calibration.is_complete and is_written else console.FAILED)
