"""The command ``facet evaluate``: which evaluations there are, and where they are."""

from __future__ import annotations

import typer

from facet.terminal.command_line.lazy import Lazy, lazy_group

COMMANDS = (
    Lazy("detection", "facet.cli.evaluate.detection:detection", "Are faces, or objects, found?"),
    Lazy("verification", "facet.cli.evaluate.verification:verification", "Do two pictures show one person?"),
    Lazy("identification", "facet.cli.evaluate.identification:identification", "Who is it, and is it anybody?"),
    Lazy("enrollment", "facet.cli.evaluate.enrollment:enrollment", "Is a wrong picture under a name noticed?"),
    Lazy("tracks", "facet.cli.evaluate.tracks:tracks", "Who is in front of the camera now?"),
    Lazy("quality", "facet.cli.evaluate.quality:quality", "Does quality predict errors?"),
    Lazy("outcomes", "facet.cli.evaluate.outcomes:outcomes", "How often is the server right in production?"),
    Lazy("latency", "facet.cli.evaluate.latency:latency", "How long does an answer take?"),
    Lazy("canary", "facet.cli.evaluate.canary:canary", "Is a running server as good as it was?"),
    Lazy("online", "facet.cli.evaluate.online:online", "How often is it wrong in use, without labels?"),
    Lazy("compare", "facet.cli.evaluate.compare:compare", "What changed between two reports?"),
    Lazy("pan", "facet.cli.evaluate.pan:pan", "Make a labelled clip to try tracks with."),
)

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    r"""Measure how well a server finds and recognises faces. docs/evaluation.md defines every figure.

    Pictures are sent as in production: over gRPC to a running server ([b]--address[/b]), or to one that the command
    starts and stops. With [b]--json[/b] every command prints one JSON object. With [b]--report[/b] it also writes
    the object and a page with plots to a folder.

    Exit code: 0 done; 1 a [b]--require[/b] is not met, or something failed: labels or pictures are missing or wrong
    (the message names file and line), the server refused pictures (the figures count them as missed), or it went away
    (the figures cover what was done before); 2 flags are wrong or contradict each other.
    """
    from facet.runtime.process import configure_for_pictures  # imports OpenCV, which the help does without

    configure_for_pictures()
