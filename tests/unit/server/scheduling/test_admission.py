"""Admission control: which requests are queued, which are refused, and when to retry."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from facet.server.errors import DeadlineTooShort, QueueFull, RequestExpired
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers

if TYPE_CHECKING:
    from tests.unit.server.scheduling.conftest import HeldWorkers, HoldWorkers, Until


async def test_the_queue_has_a_maximum_length(workers: Workers, until: Until) -> None:
    gate = threading.Event()
    running = [
        asyncio.ensure_future(workers.run(Work(), gate.wait, never_refuse=each)) for each in (False, True, False)
    ]
    await until(lambda: workers.waiting[Priority.LIVE] == 2)
    with pytest.raises(QueueFull):
        await workers.run(Work(), gate.wait)
    gate.set()
    assert await asyncio.gather(*running) == [True] * 3
    assert await workers.run(Work(), lambda: 7) == 7


async def test_enrolments_cannot_fill_the_queue_for_live_work(hold_workers: HoldWorkers) -> None:
    held = hold_workers(max_queue=2)
    await held.hold()
    for _ in range(2):
        await held.send("enrollment", Work(priority=Priority.ENROLLMENT))
    assert isinstance(await held.refusal(Work(priority=Priority.ENROLLMENT)), QueueFull)
    for _ in range(2):
        await held.send("live", Work())
    assert isinstance(await held.refusal(Work()), QueueFull)
    assert await held.release() == ["live"] * 2 + ["enrollment"] * 2


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 0.3), (0.5, 0.6), (1.0, 0.9)])
async def test_a_full_queue_is_retried_after_the_next_start_and_before_the_queue_is_empty(
    hold_workers: HoldWorkers, jitter: float, seconds: float
) -> None:
    held = hold_workers(max_queue=2, jitter=jitter)
    await held.learn("Identify", 0.4)
    await held.learn("Detect", 0.2)
    await held.hold("Identify")
    await held.send("one", Work(kind="Identify"))
    await held.send("two", Work(kind="Detect"))
    held.clock.advance(0.1)
    assert (await held.refusal(Work())).retry_seconds == pytest.approx(seconds)


async def test_retry_delay_is_positive_and_bounded(hold_workers: HoldWorkers) -> None:
    held = hold_workers(max_queue=0)
    await held.hold()
    assert (await held.refusal(Work())).retry_seconds == 0.05
    held = hold_workers(max_queue=0)
    await held.learn("Identify", 1000)
    await held.hold("Identify")
    assert (await held.refusal(Work())).retry_seconds == 60.0


async def test_a_request_that_runs_longer_than_expected_is_expected_to_take_as_long_again(
    hold_workers: HoldWorkers,
) -> None:
    held = hold_workers(max_queue=0)
    await held.learn("Identify", 1)
    await held.hold("Identify")
    held.clock.advance(6)
    assert (await held.refusal(Work())).retry_seconds == pytest.approx(5)


async def test_work_that_would_miss_its_deadline_is_refused_at_once(held: HeldWorkers) -> None:
    for _ in range(50):
        await held.learn("Identify", 1)
    await held.hold("Identify")
    await held.send("one", Work(kind="Identify"))
    now = held.clock()
    refusal = await held.refusal(Work(kind="Identify", deadline=now + 2.5))
    assert isinstance(refusal, DeadlineTooShort)
    assert refusal.retry_seconds == pytest.approx(0.6, abs=0.1)
    await held.send("two", Work(kind="Identify", deadline=now + 3.3))
    assert await held.release() == ["one", "two"]


async def test_threads_share_the_work_ahead(hold_workers: HoldWorkers) -> None:
    held = hold_workers(threads=2)
    for _ in range(50):
        await held.learn("Identify", 1)
    for _ in range(2):
        await held.hold("Identify")
    now = held.clock()
    assert isinstance(await held.refusal(Work(kind="Identify", deadline=now + 1.9)), DeadlineTooShort)
    await held.send("one", Work(kind="Identify", deadline=now + 2.2))
    assert await held.release() == ["one"]


async def test_only_work_that_is_served_earlier_counts_against_a_deadline(held: HeldWorkers) -> None:
    await held.learn("EnrollBatch", 1)
    await held.hold()
    for _ in range(5):
        await held.send("batch", Work(kind="EnrollBatch", priority=Priority.BATCH), never_refuse=True)
    await held.send("live", Work(kind="Identify", deadline=held.clock() + 0.9))
    assert await held.release() == ["live"] + ["batch"] * 5


async def test_work_of_unknown_cost_is_admitted(held: HeldWorkers) -> None:
    await held.hold("Identify")
    await held.send("one", Work(kind="Identify"))
    await held.send("two", Work(kind="Identify", deadline=held.clock() + 0.5))
    assert await held.release() == ["one", "two"]


async def test_work_that_must_not_be_refused_is_queued_whatever_its_deadline(held: HeldWorkers) -> None:
    await held.learn("IdentifyBatch", 1)
    await held.hold("IdentifyBatch")
    work = Work(kind="IdentifyBatch", priority=Priority.BATCH, deadline=held.clock() + 0.5)
    await held.send("one", work, never_refuse=True)
    assert await held.release() == ["one"]


async def test_work_starts_on_a_free_thread_whatever_its_deadline(held: HeldWorkers) -> None:
    await held.learn("Identify", 1)
    assert await held.workers.run(Work(kind="Identify", deadline=held.clock() + 0.5), lambda: 7) == 7


async def test_work_that_was_cut_short_does_not_lower_the_estimated_cost(held: HeldWorkers) -> None:
    def cut_short() -> None:
        raise RequestExpired

    await held.learn("Identify", 1)
    for _ in range(50):
        with pytest.raises(RequestExpired):
            await held.workers.run(Work(kind="Identify"), cut_short)
    await held.hold()
    assert isinstance(await held.refusal(Work(kind="Identify", deadline=held.clock() + 0.9)), DeadlineTooShort)


async def test_work_that_was_cut_short_late_raises_the_estimated_cost(held: HeldWorkers) -> None:
    def cut_short() -> None:
        held.clock.advance(1)
        raise RequestExpired

    await held.learn("Identify", 0.1)
    for _ in range(50):
        with pytest.raises(RequestExpired):
            await held.workers.run(Work(kind="Identify"), cut_short)
    await held.hold()
    assert isinstance(await held.refusal(Work(kind="Identify", deadline=held.clock() + 0.9)), DeadlineTooShort)
