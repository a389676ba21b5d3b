"""``facet outcome``: say whether an answer was right."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from facet.terminal import console
from facet.terminal.command_line.help import Command
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.connection import Connection

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


class Verdict(StrEnum):
    """Whether an answer was right."""

    RIGHT = "right"
    WRONG = "wrong"


@app.command(cls=Command)
@grouped_options
def main(
    gallery: Annotated[str, typer.Argument(help="The gallery that was searched.", show_default=False)],
    answer_id: Annotated[str, typer.Argument(help="answer_id of the answer.", show_default=False)],
    verdict: Annotated[Verdict, typer.Argument(help="Whether the answer was right.", show_default=False)],
    truth: Annotated[
        str, typer.Option(help="Who it truly was: the id of a subject of the gallery.", metavar="SUBJECT")
    ] = "",
    nobody: Annotated[bool, typer.Option("--nobody", help="It truly was nobody who is enrolled.")] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Say afterwards whether an answer was right, and who it truly was.

    Each answer of [b]facet identify --json[/b] has an [i]answer_id[/i], which is valid for 30 days by default. What is
    said last replaces what was said before. [b]facet evaluate outcomes[/b] shows what comes of it.

    [b]Examples[/b]

      facet outcome team ANSWER_ID right
      facet outcome team ANSWER_ID wrong --truth ann
      facet outcome team ANSWER_ID wrong --nobody

    Exit code: 0 it is stored, 1 it is not, 2 bad usage.
    """
    if truth and nobody:
        console.fail("--truth and --nobody exclude each other", console.USAGE)
    with connection.open() as client:
        client.report_outcome(gallery, answer_id, verdict is Verdict.RIGHT, true_subject_id=truth, true_nobody=nobody)
    if as_json:
        console.print_json({"gallery": gallery, "verdict": verdict.value, "truth": truth, "nobody": nobody})
    else:
        console.out.print(f"stored: the answer was {verdict.value}; {spelled('facet evaluate outcomes')} {gallery}")
