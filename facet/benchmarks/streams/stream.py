"""``facet bench stream``: cameras on one server, and the age of its answers."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from facet import AsyncClient, Client, FacetError, FailedPrecondition, from_status, picture, stream_frame
from facet.benchmarks.serving.load import percentile
from facet.benchmarks.serving.pictures import FRAME_SIZE, samples
from facet.benchmarks.streams.scenes import filmed, size_of, street
from facet.runtime.models import ModelError
from facet.terminal import console, tables
from facet.terminal.console import AsJson
from facet.terminal.local_server import local_server
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import FaceChoice

GALLERY = "bench"

_WARM_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent.

    Attributes:
        cameras: streams side by side.
        fps: frames a second of each.
        seconds: for how long.
    """

    cameras: int
    fps: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer.

    Attributes:
        age: seconds from when its frame was due to the answer.
        embedded: faces that were embedded for it.
        faces: faces in it.
        error: the reason, where it failed; else empty.
    """

    age: float
    embedded: int
    faces: int
    error: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of a camera's stream.

    Attributes:
        sent: frames.
        answers: the answers.
        dropped: frames that the server let go for newer ones.
        lags: seconds by which each frame was sent too late.
        ended: seconds from the start to its end.
    """

    sent: int
    answers: Sequence[Answered]
    dropped: int
    lags: Sequence[float]
    ended: float


@dataclass(frozen=True, slots=True)
class Stream:
    """What a load came to.

    Attributes:
        cameras: streams side by side.
        fps: frames a second of each.
        width: of the frames.
        height: of the frames.
        seconds: for how long frames were due.
        fps_in: frames a second that were sent, of all cameras together.
        fps_answered: of these, answered.
        sent: frames.
        answered: frames.
        dropped: frames that the server let go for newer ones.
        failed: frames that were answered with an error, by reason.
        age_p50_ms: median from when a frame was due to its answer, ``None`` for none.
        age_p95_ms: the 95th percentile.
        age_p99_ms: the 99th.
        embeddings_per_frame: faces that were embedded, by frame that was answered.
        faces_per_frame: faces that were in it.
        lag_p99_ms: by how much the cameras themselves sent too late, the 99th percentile.
        scene: what the cameras see.
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
    fps: Annotated[float, typer.Option(min=0.1, max=120, help="Frames per second of each.")] = 15.0,
    width: Annotated[int, typer.Option(min=64, max=3840, help="Width of the frames, pixels.")] = FRAME_SIZE[0],
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="Duration of the measurement.")] = 20.0,
    video: Annotated[
        Path | None,
        typer.Option(
            help="The video that the cameras show. Default: two people in a street, nearly still.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Cameras on one server: frames answered per second, age of the answers, dropped frames, embedded faces.

    All cameras run in one process, which shares the machine's cores with the server. Their frames are JPEGs made
    beforehand, and each camera starts at another moment. A frame's age counts from the time it was due, so a delayed
    camera looks no better. The best face of the first frame is enrolled. A few seconds of warm-up are not counted.

    [b]Examples[/b]

      facet bench stream --cameras 1 --fps 15
      facet bench stream --cameras 8 --fps 5 --width 640 --json
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
            process.submit(_cameras, address, frames, Load(cameras, fps, _WARM_SECONDS)).result()
            load = Load(cameras, fps, seconds)
            seen = process.submit(_cameras, address, frames, load).result()
    except (ModelError, FacetError, OSError) as error:
        console.fail(str(error))
    measured = summary(load, seen, size_of(frames[0]), video.name if video is not None else "street")
    if as_json:
        console.print_json(asdict(measured))
    else:
        _print(measured)
    if measured.failed:
        raise typer.Exit(console.FAILED)


def summary(load: Load, seen: Sequence[Seen], size: tuple[int, int], scene: str) -> Stream:
    """Sum up what became of the cameras.

    Args:
        load: what was sent.
        seen: every camera's.
        size: width and height of the frames.
        scene: what they show.
    """
    answers = [answer for each in seen for answer in each.answers]
    good = [answer for answer in answers if not answer.error]
    ages = np.array([answer.age for answer in good]) * 1e3
    lags = np.array([lag for each in seen for lag in each.lags]) * 1e3
    lasted = max([load.seconds, *(each.ended for each in seen)])
    sent = sum(each.sent for each in seen)
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
        dropped=sum(each.dropped for each in seen),
        failed=dict(Counter(answer.error for answer in answers if answer.error)),
        age_p50_ms=percentile(ages, 50),
        age_p95_ms=percentile(ages, 95),
        age_p99_ms=percentile(ages, 99),
        embeddings_per_frame=round(sum(answer.embedded for answer in good) / frames, 4),
        faces_per_frame=round(sum(answer.faces for answer in good) / frames, 3),
        lag_p99_ms=percentile(lags, 99) or 0.0,
        scene=scene,
    )


def _enroll(client: Client, frame: bytes) -> None:
    """Enrol the fittest face of a frame, if there is one that may be, and a man who is not in it."""
    client.enroll(GALLERY, "somebody-else", samples(None).one.data)
    seen = client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(frame))).faces
    for each in sorted(seen, key=lambda each: each.face.quality.value, reverse=True):
        with suppress(FailedPrecondition):
            client.enroll(GALLERY, "one-of-them", frame, face=FaceChoice(box=each.face.box))
            return


def _cameras(address: str, frames: Sequence[bytes], load: Load) -> list[Seen]:
    """All cameras side by side; runs in a process of its own."""

    async def run() -> list[Seen]:
        async with AsyncClient(address) as client:
            start = time.perf_counter() + 0.1
            each = (_camera(client, frames, load, number, start) for number in range(load.cameras))
            return await asyncio.gather(*each)

    return asyncio.run(run())


async def _camera(client: AsyncClient, frames: Sequence[bytes], load: Load, number: int, start: float) -> Seen:
    """One camera: its frames at its moments, another place of the scene than the others'."""
    count = max(1, round(load.fps * load.seconds))
    first = start + number / load.cameras / load.fps
    due = [first + at / load.fps for at in range(count)]
    ahead = number * len(frames) // load.cameras
    lags: list[float] = []
    answers: list[Answered] = []
    dropped = 0

    async def sent() -> AsyncIterator[pb.StreamFrame]:
        for at, moment in enumerate(due):
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            lags.append(time.perf_counter() - moment)
            yield stream_frame(at + 1, frames[(at + ahead) % len(frames)], moment - start + 1)

    settings = pb.StreamSettings(camera=f"camera {number + 1}", gallery_id=GALLERY)
    async with aclosing(client.identify_stream(settings, sent())) as received:
        async for answer in received:
            age = time.perf_counter() - due[answer.frame_id - 1]
            error = from_status(answer.status).reason or "ERROR" if answer.status.code else ""
            faces = sum(track.HasField("face_box") for track in answer.tracks)
            answers.append(Answered(age, answer.embedded, faces, error))
            dropped = answer.dropped
    return Seen(count, answers, dropped, lags, time.perf_counter() - start)


def _print(measured: Stream) -> None:
    who = "1 camera" if measured.cameras == 1 else f"{measured.cameras} cameras"
    title = f"{who}, {measured.fps:g} fps each, {measured.width}x{measured.height}: {measured.scene}"
    table = tables.listing(title, columns=3)
    table.add_row("sent", f"{measured.fps_in:.1f}", "frames a second, all cameras together")
    table.add_row("answered", f"{measured.fps_answered:.1f}", "frames a second")
    table.add_row("dropped", str(measured.dropped), f"of {measured.sent}: newer ones came before their turn")
    for reason, count in measured.failed.items():
        table.add_row("failed", str(count), reason)
    for name, value in (("p50", measured.age_p50_ms), ("p95", measured.age_p95_ms), ("p99", measured.age_p99_ms)):
        table.add_row(f"age {name}", "-" if value is None else f"{value:.1f}", "ms from when a frame was due")
    table.add_row("embedded", f"{measured.embeddings_per_frame:.3f}", "faces a frame")
    table.add_row("faces", f"{measured.faces_per_frame:.2f}", "a frame")
    table.add_row("cameras' lag", f"{measured.lag_p99_ms:.1f}", "ms, p99: frames that were sent too late")
    console.out.print(table)
