"""Running work on threads: cancellation, deadlines, and what is kept in memory."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from facet.server.errors import QueueFull, RequestExpired
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers

if TYPE_CHECKING:
    from tests.unit.server.scheduling.conftest import HeldWorkers, Until


class Picture:
    """Something to keep alive."""


async def test_cancelled_work_in_the_queue_never_starts(workers: Workers, until: Until) -> None:
    gate, started = threading.Event(), []
    first = asyncio.ensure_future(workers.run(Work(), gate.wait))
    second = asyncio.ensure_future(workers.run(Work(), lambda: started.append(2)))
    await until(lambda: workers.waiting[Priority.LIVE] == 1)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    await workers.run(Work(), lambda: started.append(3))
    assert started == [3]


async def test_cancelled_work_in_the_queue_is_freed_at_once(workers: Workers, until: Until) -> None:
    gate, picture = threading.Event(), Picture()
    reference = weakref.ref(picture)
    first = asyncio.ensure_future(workers.run(Work(), gate.wait))
    second = asyncio.ensure_future(workers.run(Work(), partial(id, picture)))
    del picture
    await until(lambda: workers.waiting[Priority.LIVE] == 1)
    second.cancel()
    await asyncio.wait([second])
    del second
    gc.collect()
    kept = reference()
    gate.set()
    await first
    assert kept is None


async def test_failed_work_is_freed_without_the_garbage_collector(workers: Workers) -> None:
    references: list[weakref.ref[Picture]] = []

    def task() -> None:
        picture = Picture()
        references.append(weakref.ref(picture))
        raise ValueError

    gc.collect()
    gc.disable()
    try:
        with suppress(ValueError):
            await workers.run(Work(), task)
        await workers.run(Work(), lambda: None)
        assert references[0]() is None
    finally:
        gc.enable()


async def test_a_thread_stays_busy_until_its_task_ends_even_if_the_caller_is_cancelled(
    workers: Workers, until: Until
) -> None:
    gate, started = threading.Event(), threading.Event()

    def task() -> None:
        started.set()
        gate.wait()

    running = asyncio.ensure_future(workers.run(Work(), task))
    await asyncio.to_thread(started.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    queued = asyncio.ensure_future(workers.run(Work(), lambda: 7))
    await until(lambda: workers.waiting[Priority.LIVE] == 1)
    with pytest.raises(QueueFull):
        await workers.run(Work(), lambda: 8)
    gate.set()
    assert await queued == 7


async def test_cancelled_work_on_a_thread_stops_at_its_next_check(workers: Workers) -> None:
    gate, started = threading.Event(), threading.Event()
    work, stopped = Work(), []

    def task() -> None:
        started.set()
        gate.wait()
        try:
            work.check()
        except RequestExpired:
            stopped.append(True)

    running = asyncio.ensure_future(workers.run(work, task))
    await asyncio.to_thread(started.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.set()
    await workers.run(Work(), lambda: None)
    assert stopped == [True]


async def test_work_that_is_cancelled_as_it_gets_a_thread_passes_the_thread_on(held: HeldWorkers, until: Until) -> None:
    await held.hold()
    cancelled = [asyncio.ensure_future(held.workers.run(Work(), lambda: None)) for _ in range(2)]
    await until(lambda: held.workers.waiting[Priority.LIVE] == 2)
    releasing = asyncio.ensure_future(held.release())
    await until(lambda: held.workers.waiting[Priority.LIVE] < 2)  # the turn of the loop that grants the thread
    for each in cancelled:
        each.cancel()
    await asyncio.wait([*cancelled, releasing])
    assert all(each.cancelled() for each in cancelled)
    assert held.workers.busy == 0
    assert await held.workers.run(Work(), lambda: 7) == 7


async def test_work_past_its_deadline_never_starts(workers: Workers) -> None:
    started: list[int] = []
    with pytest.raises(RequestExpired):
        await workers.run(Work(deadline=time.monotonic() - 1), lambda: started.append(1))
    assert not started


async def test_work_past_its_deadline_has_expired_and_is_not_refused(held: HeldWorkers) -> None:
    await held.learn("Identify", 1)
    await held.hold()
    with pytest.raises(RequestExpired):
        await held.workers.run(Work(kind="Identify", deadline=time.monotonic() - 1), lambda: None)


async def test_the_time_in_the_queue_is_measured(workers: Workers) -> None:
    work = Work()
    await workers.run(work, lambda: None)
    timings = work.stopwatch.timings()
    assert 0 < timings.queue_ms <= timings.total_ms


async def test_the_caller_gets_the_error_of_its_task(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        await workers.run(Work(), lambda: 1 / 0)
    assert await workers.run(Work(), lambda: 1) == 1
