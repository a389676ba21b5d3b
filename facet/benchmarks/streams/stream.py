"""``facet bench stream``: simulated cameras on one server, and the age of its answers."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from facet import Client, FacetError, FailedPrecondition, picture
from facet.benchmarks.serving.pictures import FRAME_SIZE, samples
from facet.benchmarks.streams.cameras import GALLERY, CameraRun, Load, run_cameras
from facet.benchmarks.streams.scenes import filmed, size_of, street
from facet.benchmarks.timing import observed_percentile
from facet.runtime.models import ModelError
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.local_server import local_server
from facet.terminal.tables import listing
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import FaceChoice

_WARM_UP_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Stream:
    """Result of a load.

    Attributes:
        cameras: number of simultaneous streams.
        fps: frames per second of each.
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        seconds: for which frames were due.
        fps_in: frames sent per second, all cameras together.
        fps_answered: frames answered per second, all cameras together.
        sent: number of frames sent.
        answered: number of frames answered without error.
        dropped: number of frames that the server replaced by newer ones.
        failed: number of frames answered with an error, by reason.
        age_p50_ms: median age of an answer, from the time its frame was due; ``None`` without answers.
        age_p95_ms: 95th percentile.
        age_p99_ms: 99th percentile.
        embeddings_per_frame: faces embedded per answered frame.
        faces_per_frame: faces per answered frame.
        lag_p99_ms: 99th percentile of the time by which the cameras themselves sent late.
        scene: name of the scene.
    """

    cameras: int
    fps: float
    width: int
    height: int
    seconds: float
    fps_in: float
    fps_answered: float
    sent: int
    answered: int
    dropped: int
    failed: dict[str, int]
    age_p50_ms: float | None
    age_p95_ms: float | None
    age_p99_ms: float | None
    embeddings_per_frame: float
    faces_per_frame: float
    lag_p99_ms: float
    scene: str


def stream(
    cameras: Annotated[int, typer.Option(min=1, max=64, help="Number of cameras.")] = 1,
    fps: Annotated[float, typer.Option(min=0.1, max=120, help="Frames per second of each camera.")] = 15.0,
    width: Annotated[int, typer.Option(min=64, max=3840, help="Width of the frames.")] = FRAME_SIZE[0],
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long to measure.")] = 20.0,
    video: Annotated[
        Path | None,
        typer.Option(
            help="A video for the cameras to show. Default: a street with two people, nearly still.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a server under several cameras: frames answered, age of the answers, frames dropped.

    Starts a server and a process of simulated cameras, which send JPEGs through IdentifyStream; both share the cores of
    this machine. The server drops a frame when a newer one arrives before its turn. A frame's age counts from the time
    it was due, so delays of the cameras themselves are included. The cameras start at different moments and show
    different parts of the scene. The best face of the first frame is enrolled. Takes [b]--seconds[/b] and about 15 more
    to start and warm up.

    [b]Examples[/b]

      facet bench stream --cameras 1 --fps 15
      facet bench stream --cameras 8 --fps 5 --width 640 --json
      facet bench stream --video door.mp4 --cameras 4

    Exit code: 0 done, 1 failed or a frame was answered with an error, 2 bad usage.
    """
    try:
        frames = filmed(video, fps, width) if video is not None else street(fps, width)
        with (
            local_server() as address,
            Client(address) as client,
            ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process,
        ):
            client.create_gallery(GALLERY)
            _enroll(client, frames[0])
            process.submit(run_cameras, address, frames, Load(cameras, fps, _WARM_UP_SECONDS)).result()
            load = Load(cameras, fps, seconds)
            runs = process.submit(run_cameras, address, frames, load).result()
    except (ModelError, FacetError, OSError) as error:
        console.fail(str(error))
    measured = summary(load, runs, size_of(frames[0]), video.name if video is not None else "street")
    if as_json:
        console.print_json(asdict(measured))
    else:
        _print(measured)
    if measured.failed:
        raise typer.Exit(console.FAILED)


def summary(load: Load, runs: Sequence[CameraRun], size: tuple[int, int], scene: str) -> Stream:
    """Summarise the runs of all cameras.

    Args:
        load: what was sent.
        runs: one per camera.
        size: width and height of the frames.
        scene: name of the scene.
    """
    answers = [answer for run in runs for answer in run.answers]
    good = [answer for answer in answers if not answer.error]
    ages = [answer.age * 1e3 for answer in good]
    lags = [lag * 1e3 for run in runs for lag in run.lags]
    lasted = max([load.seconds, *(run.ended for run in runs)])
    sent = sum(run.sent for run in runs)
    frames = max(1, len(good))
    return Stream(
        cameras=load.cameras,
        fps=load.fps,
        width=size[0],
        height=size[1],
        seconds=load.seconds,
        fps_in=round(sent / load.seconds, 2),
        fps_answered=round(len(good) / lasted, 2),
        sent=sent,
        answered=len(good),
        dropped=sum(run.dropped for run in runs),
        failed=dict(Counter(answer.error for answer in answers if answer.error)),
        age_p50_ms=observed_percentile(ages, 50),
        age_p95_ms=observed_percentile(ages, 95),
        age_p99_ms=observed_percentile(ages, 99),
        embeddings_per_frame=round(sum(answer.embedded for answer in good) / frames, 4),
        faces_per_frame=round(sum(answer.faces for answer in good) / frames, 3),
        lag_p99_ms=observed_percentile(lags, 99) or 0.0,
        scene=scene,
    )


def _enroll(client: Client, frame: bytes) -> None:
    """Enrol the best face of a frame, if one is good enough, and a man who is not in it."""
    client.enroll(GALLERY, "not-in-the-scene", samples(None).one.data)
    faces = client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(frame))).faces
    for each in sorted(faces, key=lambda each: each.face.quality.value, reverse=True):
        with suppress(FailedPrecondition):
            client.enroll(GALLERY, "in-the-scene", frame, face=FaceChoice(box=each.face.box))
            return


def _print(measured: Stream) -> None:
    cameras = "1 camera" if measured.cameras == 1 else f"{measured.cameras} cameras"
    shown = listing(
        f"{cameras}, {measured.fps:g} fps each, {measured.width}x{measured.height}: {measured.scene}", columns=3
    )
    shown.add_row("sent", f"{measured.fps_in:.1f}", "frames per second, all cameras together")
    shown.add_row("answered", f"{measured.fps_answered:.1f}", "frames per second, all cameras together")
    shown.add_row("dropped", str(measured.dropped), f"of {measured.sent} frames; newer ones replaced them")
    for reason, count in measured.failed.items():
        shown.add_row("failed", str(count), reason)
    for name, value in (("p50", measured.age_p50_ms), ("p95", measured.age_p95_ms), ("p99", measured.age_p99_ms)):
        shown.add_row(f"age {name}", "-" if value is None else f"{value:.1f}", "ms from the time a frame was due")
    shown.add_row("embedded", f"{measured.embeddings_per_frame:.3f}", "faces per frame")
    shown.add_row("faces", f"{measured.faces_per_frame:.2f}", "per frame")
    shown.add_row("cameras' lag p99", f"{measured.lag_p99_ms:.1f}", "ms by which the cameras themselves sent late")
    console.out.print(shown)
