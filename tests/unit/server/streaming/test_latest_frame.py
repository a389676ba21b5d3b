"""The place where a stream keeps the frame that is processed next."""

from __future__ import annotations

import asyncio

from facet.server.streaming.latest_frame import Frame, LatestFrame
from facet.v1 import recognition_service_pb2 as pb


def frame(number: int, error: Exception | None = None) -> Frame:
    return Frame(pb.StreamFrame(frame_id=number), 0.0, 0.0, error)


async def test_a_newer_frame_replaces_one_that_waits() -> None:
    latest = LatestFrame(lossless=False)
    for number in range(5):
        await latest.put(frame(number))
    assert await latest.wait()
    assert (latest.take().message.frame_id, latest.dropped) == (4, 4)
    latest.close()
    assert not await latest.wait()


async def test_an_invalid_frame_replaces_no_other() -> None:
    latest, error = LatestFrame(lossless=False), ValueError()
    for each in (frame(7), frame(3, error)):
        await latest.put(each)
    assert (latest.take().message.frame_id, latest.dropped) == (7, 1)
    for each in (frame(3, error), frame(2, error), frame(8)):
        await latest.put(each)
    assert (latest.take().message.frame_id, latest.dropped) == (8, 3)


async def test_a_lossless_stream_waits_for_room_and_delivers_every_frame() -> None:
    latest = LatestFrame(lossless=True)

    async def fill() -> None:
        for number in range(20):
            await latest.put(frame(number))
        latest.close()

    filling = asyncio.ensure_future(fill())
    taken = []
    while await latest.wait():
        taken.append((await asyncio.to_thread(latest.take)).message.frame_id)
    await filling
    assert (taken, latest.dropped) == (list(range(20)), 0)
