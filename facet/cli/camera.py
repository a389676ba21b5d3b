"""Say who is in front of a camera, who comes, and who leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from facet import FacetError
from facet.camera import source as camera_source
from facet.camera.answers import Answers
from facet.camera.frame_sender import Outbox
from facet.camera.output import OutputError, opened
from facet.camera.run import run
from facet.camera.source import Reader, Source, SourceError, Wanted
from facet.runtime.process import configure_for_video
from facet.terminal import console
from facet.terminal.interruption import Interruption
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.gallery_service_pb2 import GetGalleryRequest

_LIVE_FPS = 10.0
_LONGEST_NAME = 128
"""Characters of a camera's name."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command()
def main(
    source: Annotated[
        str,
        typer.Argument(help="A file, a webcam's number, or an rtsp:// or http:// address.", show_default=False),
    ],
    gallery: Annotated[str, typer.Option(help="The gallery to search.")] = "default",
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Decide by this similarity instead of the server's choice.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=1000, help="Send so many frames a second. Default: 10; with --lossless all of them."),
    ] = None,
    width: Annotated[
        int, typer.Option(min=0, help="Scale wider frames down to this; 0: send them as they are.")
    ] = 1280,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the JPEGs that are sent.")] = 85,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Look at every frame of a file, in order, however long it takes.")
    ] = False,
    detection_interval: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Look for people in every so manyth frame only. Default: the server's."),
    ] = None,
    name: Annotated[str, typer.Option(help="The camera's name. Default: made of the source.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write a video with names drawn, FILE.mp4.")] = None,
    events: Annotated[Path | None, typer.Option(help="Append who came and left to FILE.jsonl, as it happens.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show it in a window; q ends.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to try for where the camera or server goes away. Default: for ever."),
    ] = None,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Say who is in front of a camera, who comes, and who leaves.

    Prints what happens as it does, and on a terminal a line of how it goes: frames a second, how many the server let go
    for newer ones, how old answers are (from when a frame was read to its answer), and who is there. Frames are never
    stale: what cannot be looked at in time is dropped. A camera or a server that goes away is tried again until it is
    back; tracks are numbered afresh then.

    A file is played as fast as it was filmed, and some of its frames may be dropped as well. With [b]--lossless[/b]
    every frame is looked at, and each run gives the same events.

    [b]Examples[/b]

      camera.py 0 --gallery team --show
      camera.py rtsp://user:password@10.0.0.5/stream1 --gallery team --events door.jsonl
      camera.py film.mp4 --gallery team --lossless --out named.mp4

    Exit code: 0 the file or its user ended it (Ctrl-C, q), 1 the camera or server failed, or frames were answered with
    an error, 2 bad usage.
    """
    configure_for_video()
    told = Interruption()
    found = _parsed(source, lossless=lossless)
    wanted = Wanted(fps if fps is not None else (0.0 if lossless else _LIVE_FPS), width, quality, lossless)
    with console.connect(address, token, root_certificates) as client, told.watched():
        client.galleries.GetGallery(GetGalleryRequest(gallery_id=gallery))
        settings = pb.StreamSettings(
            camera="".join(filter(str.isprintable, name or found.name))[:_LONGEST_NAME].strip(),
            gallery_id=gallery,
            threshold=threshold,
            lossless=lossless,
            detection_interval=detection_interval,
        )
        outbox = Outbox(lossless=lossless)
        ended, answers = "", None
        try:
            with (
                _reading(found, wanted, wait, outbox) as reader,
                opened(out, events, settings.camera if show else None, reader.fps) as outputs,
                _live() as live,
            ):
                answers = Answers(
                    settings.camera,
                    outputs,
                    live,
                    recorded=reader.recorded,
                    timed=not lossless,
                    prints=not as_json,
                )
                reader.start(outbox.put, outbox.end, _say)
                run(client, settings, outbox, answers, _say, wait, told)
        except KeyboardInterrupt:
            pass
        except FacetError as error:
            ended = console.explained(error, address)
        except (SourceError, OutputError) as error:
            ended = str(error)
    if answers is None:
        console.fail(ended or "stopped")
    summary = {
        "source": found.name,
        "gallery": gallery,
        "sent": outbox.sent,
        "skipped": outbox.skipped,
        **answers.tally.summary(),
        "ended": ended,
    }
    if ended:
        console.err.print(ended, soft_wrap=True)
    if as_json:
        console.print_json(summary)
    else:
        _show(summary)
    raise typer.Exit(console.FAILED if ended or summary["failed"] else console.DONE)


def _parsed(text: str, *, lossless: bool) -> Source:
    """The source that is meant; exits with a usage error where it is none, or not one to read without loss."""
    try:
        source = camera_source.parse(text)
    except SourceError as error:
        console.fail(str(error), console.USAGE)
    if lossless and not (source.is_file or source.is_address):
        console.fail("--lossless is for files: a webcam does not wait", console.USAGE)
    return source


@contextmanager
def _reading(source: Source, wanted: Wanted, wait: float | None, outbox: Outbox) -> Iterator[Reader]:
    """A reader; it stops reading in the end."""
    reader = Reader(source, wanted, wait)
    try:
        if wanted.lossless and not reader.recorded:
            raise SourceError(f"{source.name} has no end: --lossless is for files")
        yield reader
    finally:
        outbox.end()
        reader.close()


@contextmanager
def _live() -> Iterator[Live | None]:
    """The line of how it goes, on standard error where a terminal looks on; what is printed stands above it."""
    if not console.err.is_terminal:
        yield None
        return
    with Live(console=console.err, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        yield live


def _say(message: str) -> None:
    console.err.print(message, soft_wrap=True)


def _show(summary: dict[str, Any]) -> None:
    table = Table("", "", title=summary["source"], title_justify="left", show_header=False)
    table.add_row("frames answered", str(summary["answered"]))
    for reason, count in summary["errors"].items():
        table.add_row(f"failed: {reason}", str(count))
    table.add_row("dropped by the server", str(summary["dropped"]))
    if summary["skipped"]:
        table.add_row("not sent", str(summary["skipped"]))
    table.add_row("frames/s", str(summary["fps"]))
    if summary["age_p50_ms"] is not None:
        table.add_row("age p50, p95", f"{summary['age_p50_ms']} ms, {summary['age_p95_ms']} ms")
    table.add_row("events", ", ".join(f"{count} {name}" for name, count in summary["events"].items()))
    for person in summary["people"]:
        said = f"{person['frames']} frames, from {person['first_seconds']} s to {person['last_seconds']} s"
        table.add_row(person["display_name"], said)
    console.out.print(table)
