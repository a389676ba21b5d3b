"""How well a server finds and recognises faces, measured on labelled pictures and clips."""

from __future__ import annotations

import typer

from facet.cli.evaluate.compare import compare
from facet.cli.evaluate.detection import detection
from facet.cli.evaluate.identification import identification
from facet.cli.evaluate.latency import latency
from facet.cli.evaluate.pan import pan
from facet.cli.evaluate.tracks import tracks
from facet.cli.evaluate.verification import verification

app = typer.Typer(add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    r"""Measure how well a server finds and recognises faces. How each figure is defined: docs/evaluation.md.

    Pictures go the way that they go in use: over gRPC to a running server ([b]--address[/b]) or to one that is
    started for the purpose. With [b]--json[/b] every command prints one JSON object, with [b]--report[/b] it writes
    the same and a page with plots to a folder.

    Exit code: 0 done; 1 something failed, as labels or pictures that are missing or wrong (the message names file and
    line), pictures that were refused (the figures count them as missed), a server that went away (the figures are of
    what was done before) or a [b]--require[/b] that is not met; 2 flags that are wrong, or contradict each other.
    """


for command in (detection, verification, identification, latency, tracks, compare, pan):
    app.command()(command)
