"""``facet evaluate tracks``: who is in front of the camera now, over the frames of a labelled clip."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from facet import AsyncClient
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import ReportFolder, Require, Seed
from facet.cli.evaluate.shared.output import Row, shown
from facet.cli.evaluate.shared.run import Advance
from facet.evaluation.datasets.protocol import Entry
from facet.evaluation.datasets.protocol_folders import read_gallery
from facet.evaluation.datasets.track_labels import Span, of_enrolled, read_track_labels, within_clip
from facet.evaluation.datasets.video import Clip, read_clip
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.provenance import data_set, provenance
from facet.evaluation.tracks.figures import FrameAnswer, judge_clip
from facet.evaluation.tracks.report import SOON, TracksReport
from facet.evaluation.tracks.run import TracksRun, run_tracks
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.console import AsJson

_MOST_FALSE = 20


@grouped_options
def tracks(
    video: Annotated[Path, typer.Option(help="The clip: any video file that OpenCV reads.", show_default=False)],
    labels: Annotated[
        Path,
        typer.Option(
            help="CSV with the columns start, end (seconds), subject (empty: a stranger), and optionally face "
            "(visible, hidden), presence, x1, y1, x2, y2; see docs/evaluation.md.",
            show_default=False,
        ),
    ],
    gallery: Annotated[
        Path, typer.Option(help="Folder with one folder of pictures per subject to enrol.", show_default=False)
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Enrol only this subject of --gallery; all others count as strangers. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="Decide by this similarity. Default: the stream's own.", show_default=False),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=1000, help="Frames per second to send. Default: all.", show_default=False),
    ] = None,
    detection_interval: Annotated[int, typer.Option(min=1, max=100, help="Run detection every N frames.")] = 1,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0, max=10, help="Precision of the labels in seconds: a name that is off by less is not false."
        ),
    ] = 0.1,
    *,
    target: running.Target,
    seed: Seed = 0,
    report: ReportFolder = None,
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """Who is in front of the camera now? Sends every frame of a labelled clip through IdentifyStream, in order.

    Measures how long it takes until a person is named, the share of time with the right name, and false names. The
    gallery is temporary.

    [b]Example[/b]

      facet evaluate tracks --video clip.mp4 --labels labels.csv --gallery people/

    Exit code: 0 done, 1 something failed or a [b]--require[/b] is not met, 2 bad usage.
    """
    out = results.output("tracks", as_json, report, require)
    entries = running.labels(lambda: read_gallery(gallery))
    chosen = _chosen(entries, only, gallery)
    spans, clip = running.labels(lambda: _labelled(labels, video, fps, entries, chosen))
    pictures = {entry.image: entry.path for entry in chosen}
    data = running.labels(lambda: data_set(labels, {**pictures, f"video/{video.name}": video}))

    async def measure(client: AsyncClient, advance: Advance) -> TracksRun:
        return await run_tracks(
            client, chosen, clip, threshold=threshold, detection_interval=detection_interval, advance=advance
        )

    steps = len(chosen) + len(clip.times)
    done = running.labels(lambda: running.measured(target, "Following", steps, measure))
    run = done.run
    end = clip.end if len(run.frames) == len(clip.times) else clip.times[len(run.frames)]
    reached = [span for span in spans if span.start < end]
    built = TracksReport(
        judge_clip(reached, run.frames, end, tolerance), run.frames, reached, not_enrolled=run.not_enrolled, seed=seed
    )
    flags: dict[str, Any] = {
        "threshold": threshold,
        "fps": fps,
        "detection_interval": detection_interval,
        "tolerance": tolerance,
        "only": only or [],
    }
    results.finish(
        document(
            "tracks",
            built.figures(),
            stopped=run.stopped,
            curves=built.curves(),
            tables=built.tables(),
            refused=[*_refused(run.refused), *_failed(run.frames)],
            items=built.items(),
            provenance=provenance(done.info, data=data | {"pictures": len(chosen)}, configuration=flags, seed=seed),
            times=done.times,
        ),
        out,
        pictures,
        _show,
        problems=results.left_behind(run.left_behind),
    )


def _chosen(entries: Sequence[Entry], only: Sequence[str] | None, gallery: Path) -> list[Entry]:
    """The pictures to enrol; exits with a usage error if --only names a subject without pictures."""
    names = {unicodedata.normalize("NFC", name) for name in only or ()}
    if unknown := sorted(names - {entry.subject for entry in entries}):
        console.fail(f"--only: {gallery} has no folder {', '.join(unknown)}", console.USAGE)
    return [entry for entry in entries if not names or entry.subject in names]


def _labelled(
    labels: Path, video: Path, fps: float | None, entries: Sequence[Entry], chosen: Sequence[Entry]
) -> tuple[list[Span], Clip]:
    spans = read_track_labels(labels)
    clip = read_clip(video, fps)
    within_clip(labels, spans, clip.end)
    known, enrolled = ({entry.subject for entry in each} for each in (entries, chosen))
    return of_enrolled(labels, spans, known, enrolled), clip


def _refused(refused: dict[str, str]) -> Iterator[dict[str, str]]:
    for image, reason in refused.items():
        yield {"image": image, "reason": reason}


def _failed(frames: Sequence[FrameAnswer]) -> Iterator[dict[str, str]]:
    for frame in frames:
        if frame.failure:
            yield {"image": f"the frame at {frame.time:.3f} s", "reason": frame.failure}


def _show(report: Report) -> None:
    results.print_figures("Tracks", _rows(report))
    table = tables.table(
        *("subject", "presence", "from", "visible", "named after", "named", "seen", "id switches"),
        title="Presences: seconds and shares",
    )
    for row in report["items"]:
        seconds = [shown(row[name], 2) for name in ("start", "visible_seconds", "identified_after")]
        shares = [shown(row[name], 3) for name in ("named_share", "seen_share")]
        table.add_row(row["subject"], row["presence"], *seconds, *shares, str(row["id_switches"]))
    console.out.print(table)
    false_names = report["tables"]["false_names"]
    if false_names:
        _print_false_names(false_names)


def _rows(report: Report) -> Iterator[Row]:
    of = f"of {report['presences']} presences of {report['subjects']} subjects"
    within = f"identified_within_{SOON:g}s"
    for name, meaning in (
        ("identified", f"{of}: named at all"),
        (within, f"named within {SOON:g} s of their start"),
        ("median_seconds_to_identify", "from the start of a presence until it is named"),
        ("worst_seconds_to_identify", "of the slowest presence"),
        ("named_share", f"of {report['presence_seconds']:.2f} s with a visible face, with the right name"),
        ("seen_share", "of the same time, with a face detected there"),
        ("false_names_per_minute", f"{report['false_names']} false names, {report['false_name_seconds']:.2f} s"),
        ("strangers_named", f"of {report['strangers']} spans with a stranger, had a false name"),
    ):
        yield name, shown(report[name], 3), _with_note(meaning, report[name])
    yield "id_switches", str(report["id_switches"]), "a name moved to another track within a presence"
    yield "embeddings_per_frame", shown(report["embeddings_per_frame"], 3), "faces embedded per frame"
    yield "frames", str(report["frames"]), f"{report['clip_seconds']:.2f} s; {report['failed_frames']} failed"
    yield "seconds", str(report["times"]["seconds"]), "in total"


def _with_note(meaning: str, figure: dict[str, Any]) -> str:
    return f"{meaning} ({figure['note']})" if figure.get("note") else meaning


def _print_false_names(false_names: Sequence[Report]) -> None:
    table = tables.table("name", "track", "from", "to", "seconds", title="False names")
    for row in false_names[:_MOST_FALSE]:
        times = [shown(row[name], 2) for name in ("start", "end", "seconds")]
        table.add_row(row["subject"], str(row["track"]), *times)
    console.out.print(table)
    if len(false_names) > _MOST_FALSE:
        console.out.print(f"{len(false_names) - _MOST_FALSE} more are in the JSON")
