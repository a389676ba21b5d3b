"""Work that runs in turns: others get the thread in between, and it is neither refused nor forgotten."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from facet.server.errors import DeadlineTooShort, QueueFull, RequestExpired
from facet.server.scheduling.work import Priority, Work
from recognizer.progress import Turns
from tests.waiting import turns

if TYPE_CHECKING:
    from tests.unit.server.scheduling.conftest import HeldWorkers, HoldWorkers, Until

PATIENCE = 30.0
"""Seconds after which a failed test goes on."""


class Crowd:
    """Work of several turns. Its first one waits until :meth:`release`.

    Args:
        turns: how many.
        served: takes a name for each turn.
        each: called in each turn.
    """

    def __init__(self, turns: int, served: list[str], each: Callable[[], object] = lambda: None) -> None:
        self._turns = turns
        self._served = served
        self._each = each
        self._gate = threading.Event()
        self.started = threading.Event()
        self.left = False

    def run(self) -> Turns[int]:
        try:
            self.started.set()
            self._gate.wait(PATIENCE)
            for turn in range(self._turns):
                if turn:
                    yield
                self._each()
                self._served.append(f"turn {turn + 1}")
            return self._turns
        finally:
            self.left = True

    def release(self) -> None:
        self._gate.set()


async def start(held: HeldWorkers, crowd: Crowd, work: Work | None = None) -> asyncio.Task[int]:
    running = asyncio.ensure_future(held.workers.run_in_turns(work or Work(caller="crowd"), crowd.run()))
    await asyncio.to_thread(crowd.started.wait)
    held.clock.advance(0.001)  # what is sent from now on arrives later
    return running


async def test_others_get_the_thread_between_turns(held: HeldWorkers) -> None:
    crowd = Crowd(3, held.served)
    running = await start(held, crowd)
    await held.send("other", Work(caller="other"))
    crowd.release()
    assert await running == 3
    assert held.served == ["turn 1", "other", "turn 2", "turn 3"]


async def test_the_callers_own_next_request_waits_for_all_turns(held: HeldWorkers) -> None:
    crowd = Crowd(3, held.served)
    running = await start(held, crowd)
    await held.send("own", Work(caller="crowd"))
    crowd.release()
    await running
    assert await held.release() == ["turn 1", "turn 2", "turn 3", "own"]


@pytest.mark.parametrize("priority", Priority)
async def test_work_that_holds_what_its_callers_requests_wait_for_goes_on(
    hold_workers: HoldWorkers, priority: Priority
) -> None:
    held = hold_workers(threads=2)
    decoder = threading.Lock()
    is_taken = threading.Event()

    def work(turns: int) -> Turns[None]:
        while not decoder.acquire(blocking=False):
            yield
        is_taken.set()
        for _ in range(turns):
            yield
        decoder.release()

    holder = asyncio.ensure_future(held.workers.run_in_turns(Work(caller="a", priority=priority), work(100)))
    await asyncio.to_thread(is_taken.wait)
    held.clock.advance(0.001)
    urgent = [held.workers.run_in_turns(Work(caller="a"), work(1)) for _ in range(2)]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(holder, *urgent)


async def test_a_full_queue_refuses_no_work_between_its_turns(hold_workers: HoldWorkers) -> None:
    held = hold_workers(max_queue=1)
    crowd = Crowd(3, held.served)
    running = await start(held, crowd)
    await held.send("other", Work(caller="other"))
    with pytest.raises(QueueFull):
        await held.workers.run(Work(caller="third"), lambda: None)
    crowd.release()
    assert await running == 3


async def test_a_deadline_ends_work_between_its_turns(held: HeldWorkers) -> None:
    work = Work(caller="crowd", deadline=time.monotonic() + 3600)

    def pass_the_deadline() -> None:
        work.check()
        work.deadline = time.monotonic() - 1

    crowd = Crowd(2, held.served, pass_the_deadline)
    running = await start(held, crowd, work)
    crowd.release()
    with pytest.raises(RequestExpired):
        await running
    assert held.served == ["turn 1"]
    assert crowd.left
    assert held.workers.busy == 0


async def test_an_error_in_a_later_turn_is_the_callers(held: HeldWorkers) -> None:
    def work() -> Turns[int]:
        yield
        return 1 // 0

    with pytest.raises(ZeroDivisionError):
        await held.workers.run_in_turns(Work(), work())
    assert held.workers.busy == 0


async def test_work_cancelled_between_its_turns_never_continues(held: HeldWorkers, until: Until) -> None:
    crowd, second = Crowd(3, held.served), Crowd(1, [])
    running = await start(held, crowd)
    following = asyncio.ensure_future(held.workers.run_in_turns(Work(caller="other"), second.run()))
    await until(lambda: held.workers.waiting[Priority.LIVE] == 1)
    crowd.release()
    await asyncio.to_thread(second.started.wait)  # has the thread, so the crowd is queued
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(held.workers.waiting.values())
    assert crowd.left
    second.release()
    assert await following == 1
    assert held.served == ["turn 1"]


async def test_work_cancelled_during_a_turn_is_not_queued_again(held: HeldWorkers, until: Until) -> None:
    crowd = Crowd(3, held.served)
    running = await start(held, crowd)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    crowd.release()
    await until(lambda: held.workers.busy == 0)
    assert held.served == ["turn 1"]
    assert crowd.left
    assert not any(held.workers.waiting.values())


async def test_work_cancelled_at_any_moment_leaves_the_thread_free(held: HeldWorkers) -> None:
    for moment in range(40):
        running = asyncio.ensure_future(held.workers.run_in_turns(Work(caller="crowd"), endless()))
        await turns(moment)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    async with asyncio.timeout(PATIENCE):
        assert await held.workers.run(Work(), lambda: 7) == 7


def endless() -> Turns[None]:
    while True:
        yield


async def test_batch_work_keeps_its_place_between_turns(held: HeldWorkers) -> None:
    order: list[str] = []

    def work(name: str) -> Turns[None]:
        for _ in range(3):
            order.append(name)
            yield
        order.append(f"end of {name}")

    items = [held.workers.run_in_turns(Work(priority=Priority.BATCH), work(name)) for name in "abc"]
    await asyncio.gather(*items)
    assert order.index("c") > min(order.index("end of a"), order.index("end of b")), "one thread has two places"


async def test_the_cost_of_work_is_that_of_all_its_turns(held: HeldWorkers) -> None:
    crowd = Crowd(3, held.served, lambda: held.clock.advance(1))
    running = await start(held, crowd, Work(kind="AnalyzeFaces"))
    crowd.release()
    await running
    await held.hold()
    with pytest.raises(DeadlineTooShort):
        await held.workers.run(Work(kind="AnalyzeFaces", deadline=held.clock() + 2.9), lambda: None)
