"""Streams among the requests that wait for a worker."""

from __future__ import annotations

import asyncio
import threading

from facet.server.scheduling.work import Work
from facet.server.scheduling.workers import Workers
from tests.waiting import until_in_loop


async def test_streams_take_turns_frame_by_frame_among_single_requests() -> None:
    workers, gate, order = Workers(threads=1, max_queue=8), threading.Event(), ""

    def note(name: str) -> None:
        nonlocal order
        order += name

    async def stream(name: str) -> None:
        for _ in range(4):
            await workers.run(Work(kind="IdentifyStream"), lambda: note(name), never_refuse=True)

    busy = asyncio.ensure_future(workers.run(Work(), gate.wait))
    await until_in_loop(lambda: workers.busy)
    single = (workers.run(Work(kind="Identify"), lambda: note("-")) for _ in range(2))
    under_way = asyncio.gather(*map(stream, "abc"), *single)
    await until_in_loop(lambda: sum(workers.waiting.values()) == 5)
    gate.set()
    await under_way
    await busy
    workers.close()
    assert order == "abc--" + "abc" * 3
