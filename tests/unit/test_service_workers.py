"""The bounded queue in front of the models."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator
from functools import partial

import pytest

from service.workers import QueueFull, RequestExpired, Work, Workers, usable_cores


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(threads=1, max_queue=1)
    yield made
    made.close()


async def test_no_more_than_may_wait_are_let_in(workers: Workers) -> None:
    gate = threading.Event()
    held = [asyncio.ensure_future(workers.run(Work(), gate.wait)) for _ in range(2)]
    patient = asyncio.ensure_future(workers.run(Work(), gate.wait, patient=True))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await workers.run(Work(), gate.wait)
    gate.set()
    assert await asyncio.gather(*held, patient) == [True] * 3
    assert await workers.run(Work(), lambda: 7) == 7


async def test_work_that_is_cancelled_while_it_waits_is_not_begun(workers: Workers) -> None:
    gate, begun = threading.Event(), []
    first = asyncio.ensure_future(workers.run(Work(), gate.wait))
    second = asyncio.ensure_future(workers.run(Work(), lambda: begun.append(2)))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    await workers.run(Work(), lambda: begun.append(3))
    assert begun == [3]


async def test_work_that_is_cancelled_while_it_waits_is_let_go_of_at_once(workers: Workers) -> None:
    class Picture:
        pass

    gate, picture = threading.Event(), Picture()
    seen = weakref.ref(picture)
    first = asyncio.ensure_future(workers.run(Work(), gate.wait))
    second = asyncio.ensure_future(workers.run(Work(), partial(id, picture)))
    del picture
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    del second
    gc.collect()
    held = seen()
    gate.set()
    await first
    assert held is None


async def test_a_thread_is_taken_until_its_task_has_ended_whoever_has_gone(workers: Workers) -> None:
    gate, started = threading.Event(), threading.Event()

    def task() -> None:
        started.set()
        gate.wait()

    running = asyncio.ensure_future(workers.run(Work(), task))
    await asyncio.to_thread(started.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    waiting = asyncio.ensure_future(workers.run(Work(), lambda: 7))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await workers.run(Work(), lambda: 8)
    gate.set()
    assert await waiting == 7


async def test_work_under_way_learns_at_its_next_check_that_nobody_waits(workers: Workers) -> None:
    gate, started = threading.Event(), threading.Event()
    work, ended = Work(), []

    def task() -> None:
        started.set()
        gate.wait()
        try:
            work.check()
        except RequestExpired:
            ended.append(True)

    running = asyncio.ensure_future(workers.run(work, task))
    await asyncio.to_thread(started.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.set()
    await workers.run(Work(), lambda: None)
    assert ended == [True]


async def test_work_whose_deadline_has_passed_is_not_begun(workers: Workers) -> None:
    begun: list[int] = []
    with pytest.raises(RequestExpired):
        await workers.run(Work(deadline=time.monotonic() - 1), lambda: begun.append(1))
    assert not begun


async def test_the_time_in_the_queue_is_counted(workers: Workers) -> None:
    work = Work()
    await workers.run(work, lambda: None)
    timings = work.stopwatch.timings()
    assert 0 < timings.queue_ms <= timings.total_ms


async def test_an_error_of_the_task_is_the_callers(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        await workers.run(Work(), lambda: 1 / 0)
    assert await workers.run(Work(), lambda: 1) == 1


def test_there_is_at_least_one_core() -> None:
    assert usable_cores() >= 1
