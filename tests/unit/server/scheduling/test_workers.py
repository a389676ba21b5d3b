"""The bounded queue in front of the models."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

from facet.server.errors import DeadlineTooShort, QueueFull, RequestExpired
from facet.server.scheduling.workers import Priority, Work, Workers

PATIENCE = 30.0
"""Seconds after which what should have happened has not."""


class Clock:
    """Seconds that pass when they are told to; an hour ahead, so that no deadline really passes."""

    def __init__(self) -> None:
        self.now = time.monotonic() + 3600

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for takes turns of the loop, not time
            await asyncio.sleep(0)


def in_line(workers: Workers) -> int:
    """How many wait for a thread."""
    return sum(workers.waiting.values())


class Held:
    """Workers whose threads are busy until they are let go; what work costs is known by a clock of their own.

    Attributes:
        served: what was worked on since, in the order in which that was begun.
    """

    def __init__(self, max_queue: int, threads: int) -> None:
        self.clock = Clock()
        self.workers = Workers(threads=threads, max_queue=max_queue, clock=self.clock)
        self.served: list[str] = []
        self._gate = threading.Event()
        self._sent: list[asyncio.Future[Any]] = []

    async def learn(self, kind: str, seconds: float) -> None:
        """Have a request of a kind take so long."""
        await self.workers.run(Work(kind=kind), lambda: self.clock.pass_seconds(seconds))

    async def hold(self, kind: str = "") -> None:
        """Take a thread."""
        busy = self.workers.busy
        self._sent.append(asyncio.ensure_future(self.workers.run(Work(kind=kind), self._gate.wait)))
        await until(lambda: self.workers.busy > busy)

    async def send(self, name: str, work: Work, *, patient: bool = False) -> None:
        """Have a request wait: in the line, or where as much of batches as may is in it, for a place there."""
        before, workers = in_line(self.workers), self.workers
        is_batch, most = work.priority is Priority.BATCH, 2 * workers.threads
        sent = asyncio.ensure_future(self.workers.run(work, lambda: self.served.append(name), patient=patient))
        self._sent.append(sent)
        await until(lambda: in_line(workers) > before or (is_batch and workers.waiting[Priority.BATCH] == most))

    async def refusal(self, work: Work) -> QueueFull | DeadlineTooShort:
        """Why a request is refused at once."""
        sent = asyncio.ensure_future(self.workers.run(work, lambda: None))
        await asyncio.sleep(0)
        refused = sent.done()
        sent.cancel()
        with pytest.raises((QueueFull, DeadlineTooShort)) as caught:
            await sent
        assert refused
        assert isinstance(caught.value, QueueFull | DeadlineTooShort)
        return caught.value

    async def let_go(self) -> list[str]:
        """Serve all that wait; their order."""
        self._gate.set()
        await asyncio.gather(*self._sent)
        return self.served


@asynccontextmanager
async def holding(max_queue: int = 8, threads: int = 1) -> AsyncIterator[Held]:
    made = Held(max_queue, threads)
    try:
        yield made
    finally:
        await made.let_go()
        made.workers.close()


@pytest.fixture
async def held() -> AsyncIterator[Held]:
    async with holding() as made:
        yield made


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(threads=1, max_queue=1)
    yield made
    made.close()


async def test_no_more_than_may_wait_are_let_in(workers: Workers) -> None:
    gate = threading.Event()
    held = [asyncio.ensure_future(workers.run(Work(), gate.wait, patient=each)) for each in (False, True, False)]
    await until(lambda: in_line(workers) == 2)
    with pytest.raises(QueueFull):
        await workers.run(Work(), gate.wait)
    gate.set()
    assert await asyncio.gather(*held) == [True] * 3
    assert await workers.run(Work(), lambda: 7) == 7


async def test_work_that_is_cancelled_while_it_waits_is_not_begun(workers: Workers) -> None:
    gate, begun = threading.Event(), []
    first = asyncio.ensure_future(workers.run(Work(), gate.wait))
    second = asyncio.ensure_future(workers.run(Work(), lambda: begun.append(2)))
    await until(lambda: in_line(workers) == 1)
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
    await until(lambda: in_line(workers) == 1)
    second.cancel()
    await asyncio.wait([second])
    del second
    gc.collect()
    held = seen()
    gate.set()
    await first
    assert held is None


async def test_of_many_items_of_batches_a_few_are_in_the_line_and_all_are_done(workers: Workers) -> None:
    gate = threading.Event()
    held = asyncio.ensure_future(workers.run(Work(), gate.wait))
    await until(lambda: workers.busy == 1)
    work = [Work(kind="IdentifyBatch", priority=Priority.BATCH) for _ in range(50)]
    batch = [asyncio.ensure_future(workers.run(each, lambda: 7, patient=True)) for each in work]
    await until(lambda: in_line(workers) == 2 * workers.threads)
    live = asyncio.ensure_future(workers.run(Work(), lambda: 8))
    await until(lambda: workers.waiting[Priority.LIVE] == 1)  # by now all of the batch have asked
    waiting = workers.waiting[Priority.BATCH]
    gate.set()
    assert (await held, await live) == (True, 8)
    assert waiting == 2 * workers.threads
    assert await asyncio.gather(*batch) == [7] * 50


async def test_work_that_fails_lets_go_of_what_it_held_without_the_garbage_collector(workers: Workers) -> None:
    class Picture:
        pass

    seen: list[weakref.ref[Picture]] = []

    def task() -> None:
        picture = Picture()
        seen.append(weakref.ref(picture))
        raise ValueError

    gc.collect()
    gc.disable()
    try:
        with suppress(ValueError):
            await workers.run(Work(), task)
        await workers.run(Work(), lambda: None)
        assert seen[0]() is None
    finally:
        gc.enable()


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
    await until(lambda: in_line(workers) == 1)
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


async def test_a_thread_that_is_given_to_who_is_cancelled_just_then_is_passed_on(held: Held) -> None:
    await held.hold()
    cancelled = [asyncio.ensure_future(held.workers.run(Work(), lambda: None)) for _ in range(2)]
    await until(lambda: in_line(held.workers) == 2)
    letting_go = asyncio.ensure_future(held.let_go())
    while held.workers.waiting[Priority.LIVE] == 2:  # noqa: ASYNC110 - until the turn of the loop in which it is given
        await asyncio.sleep(0)
    for each in cancelled:
        each.cancel()
    await asyncio.wait([*cancelled, letting_go])
    assert all(each.cancelled() for each in cancelled)
    assert held.workers.busy == 0
    assert await held.workers.run(Work(), lambda: 7) == 7


async def test_work_whose_deadline_has_passed_is_not_begun(workers: Workers) -> None:
    begun: list[int] = []
    with pytest.raises(RequestExpired):
        await workers.run(Work(deadline=time.monotonic() - 1), lambda: begun.append(1))
    assert not begun


async def test_work_whose_deadline_has_passed_is_not_said_to_have_come_at_a_bad_time(held: Held) -> None:
    await held.learn("Identify", 1)
    await held.hold()
    with pytest.raises(RequestExpired):
        await held.workers.run(Work(kind="Identify", deadline=time.monotonic() - 1), lambda: None)


async def test_the_urgent_go_first_and_equals_as_they_came(held: Held) -> None:
    await held.hold()
    for name, priority in (
        ("batch", Priority.BATCH),
        ("enrollment", Priority.ENROLLMENT),
        ("live", Priority.LIVE),
        ("live too", Priority.LIVE),
        ("enrollment too", Priority.ENROLLMENT),
    ):
        await held.send(name, Work(priority=priority))
    assert held.workers.waiting == {Priority.LIVE: 2, Priority.ENROLLMENT: 2, Priority.BATCH: 1}
    assert held.workers.busy == 1
    assert await held.let_go() == ["live", "live too", "enrollment", "enrollment too", "batch"]
    assert held.workers.waiting == dict.fromkeys(Priority, 0)


async def test_batch_work_that_has_waited_long_goes_before_younger_live_work(held: Held) -> None:
    await held.hold()
    await held.send("batch", Work(priority=Priority.BATCH), patient=True)
    await held.send("live", Work())
    held.clock.pass_seconds(3)
    await held.send("younger", Work())
    assert await held.let_go() == ["live", "batch", "younger"]


async def test_live_work_is_let_in_where_enrollments_fill_the_queue() -> None:
    async with holding(2) as held:
        await held.hold()
        for _ in range(2):
            await held.send("enrollment", Work(priority=Priority.ENROLLMENT))
        assert isinstance(await held.refusal(Work(priority=Priority.ENROLLMENT)), QueueFull)
        for _ in range(2):
            await held.send("live", Work())
        assert isinstance(await held.refusal(Work()), QueueFull)
        assert await held.let_go() == ["live"] * 2 + ["enrollment"] * 2


async def test_who_finds_the_queue_full_learns_when_it_will_have_been_worked_off() -> None:
    async with holding(2) as held:
        await held.learn("Identify", 0.4)
        await held.learn("Detect", 0.2)
        await held.hold("Identify")
        await held.send("one", Work(kind="Identify"))
        await held.send("two", Work(kind="Detect"))
        held.clock.pass_seconds(0.1)
        assert (await held.refusal(Work())).retry_seconds == pytest.approx(0.3 + 0.4 + 0.2)


async def test_when_to_come_again_is_neither_at_once_nor_never() -> None:
    async with holding(0) as held:
        await held.hold()
        assert (await held.refusal(Work())).retry_seconds == 0.05
    async with holding(0) as held:
        await held.learn("Identify", 1000)
        await held.hold("Identify")
        assert (await held.refusal(Work())).retry_seconds == 5.0


async def test_work_that_would_not_be_done_in_time_is_refused_at_once(held: Held) -> None:
    for _ in range(50):
        await held.learn("Identify", 1)
    await held.hold("Identify")
    await held.send("one", Work(kind="Identify"))
    now = held.clock()
    refusal = await held.refusal(Work(kind="Identify", deadline=now + 2.5))
    assert isinstance(refusal, DeadlineTooShort)
    assert refusal.retry_seconds == pytest.approx(0.6, abs=0.1)
    await held.send("two", Work(kind="Identify", deadline=now + 3.2))
    assert await held.let_go() == ["one", "two"]


async def test_several_threads_share_what_is_ahead() -> None:
    async with holding(threads=2) as held:
        for _ in range(50):
            await held.learn("Identify", 1)
        for _ in range(2):
            await held.hold("Identify")
        now = held.clock()
        assert isinstance(await held.refusal(Work(kind="Identify", deadline=now + 1.9)), DeadlineTooShort)
        await held.send("one", Work(kind="Identify", deadline=now + 2.1))
        assert await held.let_go() == ["one"]


async def test_only_what_is_served_before_counts_against_a_deadline(held: Held) -> None:
    await held.learn("EnrollBatch", 1)
    await held.hold()
    for _ in range(5):
        await held.send("batch", Work(kind="EnrollBatch", priority=Priority.BATCH), patient=True)
    await held.send("live", Work(kind="Identify", deadline=held.clock() + 0.9))
    assert await held.let_go() == ["live"] + ["batch"] * 5


async def test_work_of_which_nothing_is_known_is_let_in(held: Held) -> None:
    await held.hold("Identify")
    await held.send("one", Work(kind="Identify"))
    await held.send("two", Work(kind="Identify", deadline=held.clock() + 0.5))
    assert await held.let_go() == ["one", "two"]


async def test_the_patient_are_not_refused_for_their_deadline(held: Held) -> None:
    await held.learn("IdentifyBatch", 1)
    await held.hold("IdentifyBatch")
    work = Work(kind="IdentifyBatch", priority=Priority.BATCH, deadline=held.clock() + 0.5)
    await held.send("one", work, patient=True)
    assert await held.let_go() == ["one"]


async def test_work_that_a_thread_is_free_for_is_begun_whatever_is_thought_of_its_deadline(held: Held) -> None:
    await held.learn("Identify", 1)
    assert await held.workers.run(Work(kind="Identify", deadline=held.clock() + 0.5), lambda: 7) == 7


async def test_work_that_was_cut_short_makes_none_look_cheaper_than_it_is(held: Held) -> None:
    def cut_short() -> None:
        raise RequestExpired

    await held.learn("Identify", 1)
    for _ in range(50):
        with pytest.raises(RequestExpired):
            await held.workers.run(Work(kind="Identify"), cut_short)
    await held.hold()
    assert isinstance(await held.refusal(Work(kind="Identify", deadline=held.clock() + 0.9)), DeadlineTooShort)


async def test_work_that_is_always_cut_short_is_known_to_take_that_long_at_least(held: Held) -> None:
    def cut_short() -> None:
        held.clock.pass_seconds(1)
        raise RequestExpired

    await held.learn("Identify", 0.1)
    for _ in range(50):
        with pytest.raises(RequestExpired):
            await held.workers.run(Work(kind="Identify"), cut_short)
    await held.hold()
    assert isinstance(await held.refusal(Work(kind="Identify", deadline=held.clock() + 0.9)), DeadlineTooShort)


async def test_the_time_in_the_queue_is_counted(workers: Workers) -> None:
    work = Work()
    await workers.run(work, lambda: None)
    timings = work.stopwatch.timings()
    assert 0 < timings.queue_ms <= timings.total_ms


async def test_an_error_of_the_task_is_the_callers(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        await workers.run(Work(), lambda: 1 / 0)
    assert await workers.run(Work(), lambda: 1) == 1
