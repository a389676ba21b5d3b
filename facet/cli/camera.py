"""Track and identify the people in front of a camera."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.live import Live

from facet import FacetError
from facet.camera.answer_handler import AnswerHandler
from facet.camera.errors import OutputError, SourceError
from facet.camera.frame_sender import FrameSender
from facet.camera.outputs import STANDARD_OUTPUT, open_outputs
from facet.camera.reader import FrameOptions, Reader
from facet.camera.session import run
from facet.camera.source import Source, parse_source
from facet.cli.shared.choices import parse_turn
from facet.client.pictures import turn_message
from facet.runtime.extras import install_command
from facet.runtime.process import configure_for_video
from facet.terminal import console, tables
from facet.terminal.command_line.help import Command
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection, explained
from facet.terminal.counts import counted
from facet.terminal.interruption import Interruption
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.gallery_service_pb2 import GetGalleryRequest
from gallery import names

_LIVE_FPS = 10.0
_MAX_NAME = 128
"""Characters of a camera's name."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(cls=Command)
@grouped_options
def main(
    source: Annotated[
        str,
        typer.Argument(help="A file, a webcam's number, or an rtsp:// or http:// address.", show_default=False),
    ],
    gallery: Annotated[str, typer.Option(help="The gallery to search.")] = "default",
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Minimum similarity of a match. Default: the server's choice.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=1000, help="Frames to send per second. Default: 10; with --lossless all."),
    ] = None,
    width: Annotated[int, typer.Option(min=0, help="Scale wider frames down to this many pixels; 0: never.")] = 1280,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of the JPEGs that are sent.")] = 85,
    lossless: Annotated[bool, typer.Option("--lossless", help="Process every frame of a file, in order.")] = False,
    detection_interval: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Run detection every N frames. Default: every frame."),
    ] = None,
    rotate: Annotated[
        Literal["auto", "0", "90", "180", "270"],
        typer.Option(
            help="The clockwise turn in degrees that makes the frames upright. auto: found from the first faces."
        ),
    ] = "auto",
    name: Annotated[str, typer.Option(help="The camera's name. Default: from the source.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write a video with boxes and names to FILE.mp4.")] = None,
    events: Annotated[
        Path | None, typer.Option(help="Append events to FILE.jsonl as they happen; -: print them.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the video in a window; q ends.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to keep reconnecting if the camera or server goes away. Default: for ever."),
    ] = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Track and identify the people in front of a camera.

    Prints events as they happen: somebody appears, is identified, leaves. A terminal also shows a line of statistics:
    frames per second, frames that the server dropped for newer ones, the age of answers (from reading a frame to its
    answer), and the people in view. Frames that cannot be processed in time are dropped, so that answers are never old.
    If the camera or the server goes away, the command reconnects. Everybody has left once the camera is gone for two
    seconds.

    A file is played at its own speed, and frames may be dropped as well. With [b]--lossless[/b] every frame is
    processed, and each run gives the same events.

    [b]Examples[/b]

      facet camera 0 --gallery team --show
      facet camera rtsp://user:password@10.0.0.5/1 --events door.jsonl
      facet camera film.mp4 --gallery team --lossless --out named.mp4

    Exit code: 0 the file ended, or you stopped it (Ctrl-C, q), 1 the camera or server failed, or frames were answered
    with an error, 2 bad usage.
    """
    configure_for_video()
    interruption = Interruption()
    found = _parse(source, lossless=lossless)
    prints_events = events == STANDARD_OUTPUT
    if prints_events and as_json:
        console.fail("--json and --events - both write to standard output: name a file for the events", console.USAGE)
    if out is not None and importlib.util.find_spec("av") is None:
        console.fail(f"--out needs PyAV, which is not installed: {install_command('camera')}", console.USAGE)
    options = FrameOptions(fps if fps is not None else (0.0 if lossless else _LIVE_FPS), width, quality, lossless)
    with connection.open() as client, interruption.watched():
        client.galleries.GetGallery(GetGalleryRequest(gallery_id=gallery))
        settings = pb.StreamSettings(
            camera=names.without_refused(name or found.name)[:_MAX_NAME].strip(),
            gallery_id=gallery,
            threshold=threshold,
            lossless=lossless,
            detection_interval=detection_interval,
            end_tracks=True,
            turn=turn_message(parse_turn("as-is" if rotate == "0" else rotate)),
        )
        sender = FrameSender(lossless=lossless)
        problem, handler = "", None
        try:
            with (
                _reader(found, options, wait, sender) as reader,
                open_outputs(out, events, settings.camera if show else None, reader.fps) as outputs,
                _live() as live,
            ):
                handler = AnswerHandler(
                    settings.camera,
                    outputs,
                    recorded=reader.recorded,
                    measure_ages=not lossless,
                    say=_say,
                    print_event=None if as_json or prints_events else _event_printer(live),
                    show_status=None if live is None else lambda line: live.update(line, refresh=True),
                )
                reader.start(sender.put, sender.end, lost=sender.source_lost, say=_say)
                run(client, settings, sender, handler, _say, wait, interruption)
        except KeyboardInterrupt:
            pass
        except FacetError as error:
            problem = explained(error, connection.address, connection.token)
        except (SourceError, OutputError) as error:
            problem = str(error)
    if handler is None:
        console.fail(problem or "stopped")
    summary = {
        "source": found.name,
        "gallery": gallery,
        "sent": sender.sent,
        "skipped": sender.skipped,
        **handler.statistics.summary(),
        "ended": problem,
    }
    if problem:
        _say(problem)
    if as_json:
        console.print_json(summary)
    else:
        _print_summary(summary, console.err if prints_events else console.out)
    raise typer.Exit(console.FAILED if problem or summary["failed"] else console.DONE)


def _parse(text: str, *, lossless: bool) -> Source:
    """The source; exits with a usage error if there is none, or if it cannot be read without loss."""
    try:
        source = parse_source(text)
    except SourceError as error:
        console.fail(str(error), console.USAGE)
    if lossless and not (source.is_file or source.is_address):
        console.fail("--lossless is for files: a webcam does not wait", console.USAGE)
    return source


@contextmanager
def _reader(source: Source, options: FrameOptions, wait: float | None, sender: FrameSender) -> Iterator[Reader]:
    """A reader, which is closed at the end."""
    reader = Reader(source, options, wait)
    try:
        if options.lossless and not reader.recorded:
            raise SourceError(f"{source.name} has no end: --lossless is for files")
        yield reader
    finally:
        sender.end()
        reader.close()


@contextmanager
def _live() -> Iterator[Live | None]:
    """The line of statistics on standard error, if that is a terminal; events are printed above it."""
    if not console.err.is_terminal:
        yield None
        return
    with Live(console=console.err, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        yield live


def _event_printer(live: Live | None) -> Callable[[str], None]:
    """Prints events on standard output; through the live line's console if both share the terminal."""
    target = console.err if live is not None and console.out.is_terminal else console.out
    return lambda line: target.print(line, soft_wrap=True)


def _say(message: str) -> None:
    console.err.print(message, soft_wrap=True)


def _print_summary(summary: dict[str, Any], target: Console) -> None:
    table = tables.listing(summary["source"])
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
        seen = f"{counted(person['frames'], 'frame')}, from {person['first_seconds']} s to {person['last_seconds']} s"
        table.add_row(person["display_name"], seen)
    target.print(table)
