"""Simulated cameras: they send the frames of a scene when they are due, and record the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from facet import AsyncClient, from_status, stream_frame
from facet.v1 import recognition_service_pb2 as pb

GALLERY = "bench"


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent.

    Attributes:
        cameras: number of simultaneous streams.
        fps: frames per second of each.
        seconds: for which frames are due.
    """

    cameras: int
    fps: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a frame.

    Attributes:
        age: seconds from the time the frame was due to the answer.
        embedded: number of faces that were embedded for it.
        faces: number of faces in it.
        error: reason if the frame failed, else empty.
    """

    age: float
    embedded: int
    faces: int
    error: str


@dataclass(frozen=True, slots=True)
class CameraRun:
    """The stream of one camera.

    Attributes:
        sent: number of frames.
        answers: to frames, in order of arrival.
        dropped: number of frames that the server replaced by newer ones.
        lags: seconds by which the camera itself sent each frame late.
        ended: seconds from the start to the end of the stream.
    """

    sent: int
    answers: Sequence[Answer]
    dropped: int
    lags: Sequence[float]
    ended: float


def run_cameras(address: str, frames: Sequence[bytes], load: Load) -> list[CameraRun]:
    """Run all cameras at the same time, and wait until the last stream has ended.

    Args:
        address: of the server, which has the gallery :data:`GALLERY`.
        frames: JPEGs, shown in a loop.
        load: cameras, their rate, and for how long.
    """

    async def run() -> list[CameraRun]:
        async with AsyncClient(address) as client:
            start = time.perf_counter() + 0.1
            runs = (_run_camera(client, frames, load, number, start) for number in range(load.cameras))
            return await asyncio.gather(*runs)

    return asyncio.run(run())


async def _run_camera(client: AsyncClient, frames: Sequence[bytes], load: Load, number: int, start: float) -> CameraRun:
    """Send the frames of one camera when they are due, starting at a place in the scene of its own."""
    count = max(1, round(load.fps * load.seconds))
    first_due = start + number / load.cameras / load.fps
    due = [first_due + at / load.fps for at in range(count)]
    first_frame = number * len(frames) // load.cameras
    lags: list[float] = []
    answers: list[Answer] = []
    dropped = 0

    async def sent() -> AsyncIterator[pb.StreamFrame]:
        for at, moment in enumerate(due):
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            lags.append(time.perf_counter() - moment)
            yield stream_frame(at + 1, frames[(first_frame + at) % len(frames)], moment - start + 1)

    settings = pb.StreamSettings(camera=f"camera {number + 1}", gallery_id=GALLERY)
    async with aclosing(client.identify_stream(settings, sent())) as received:
        async for answer in received:
            age = time.perf_counter() - due[answer.frame_id - 1]
            error = from_status(answer.status).reason or "ERROR" if answer.status.code else ""
            faces = sum(track.HasField("face_box") for track in answer.tracks)
            answers.append(Answer(age, answer.embedded, faces, error))
            dropped = answer.dropped
    return CameraRun(count, answers, dropped, lags, time.perf_counter() - start)
