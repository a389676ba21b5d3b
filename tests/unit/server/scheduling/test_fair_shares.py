"""Several callers share the workers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from facet.server.errors import DeadlineTooShort, QueueFull
from facet.server.scheduling.work import Priority, Work

if TYPE_CHECKING:
    from tests.unit.server.scheduling.conftest import HeldWorkers, HoldWorkers


async def test_a_flood_delays_another_caller_by_the_request_that_runs(held: HeldWorkers) -> None:
    await held.learn("Identify", 1)
    await held.hold("Identify", caller="flood")
    for number in range(6):
        await held.send(f"flood{number}", Work(kind="Identify", caller="flood"))
    await held.send("other", Work(kind="Identify", caller="other"))
    held.clock.advance(1)
    assert (await held.release())[0] == "other"


async def test_a_caller_that_floods_is_refused_before_others(hold_workers: HoldWorkers) -> None:
    held = hold_workers(max_queue=3)
    await held.hold(caller="flood")
    for number in range(3):
        await held.send(f"flood{number}", Work(caller="flood"))
    assert isinstance(await held.refusal(Work(caller="flood")), QueueFull)
    displacing = asyncio.ensure_future(held.workers.run(Work(caller="other"), lambda: 7))
    assert set(await held.release()) == {"flood0", "flood1"}
    assert await displacing == 7
    assert [type(each) for each in held.refused] == [QueueFull]


async def test_a_request_that_is_too_late_itself_displaces_none(hold_workers: HoldWorkers) -> None:
    held = hold_workers(max_queue=3)
    for _ in range(20):
        await held.learn("Identify", 1)
    await held.hold("Identify", caller="flood")
    for number in range(3):
        await held.send(f"flood{number}", Work(kind="Identify", caller="flood"))
    late = Work(kind="Identify", caller="other", deadline=held.clock() + 1.5)
    assert isinstance(await held.refusal(late), DeadlineTooShort)
    assert len(await held.release()) == 3
    assert not held.refused


async def test_a_caller_does_not_displace_one_with_as_few_requests(hold_workers: HoldWorkers) -> None:
    held = hold_workers(max_queue=3)
    await held.hold()
    for number, caller in enumerate("aab"):
        await held.send(str(number), Work(caller=caller))
    assert isinstance(await held.refusal(Work(caller="b")), QueueFull)
    assert len(await held.release()) == 3
    assert not held.refused


async def test_callers_take_turns_with_the_items_of_their_batches(held: HeldWorkers) -> None:
    await held.hold(caller="large")
    for number in range(6):
        work = Work(kind="IdentifyBatch", priority=Priority.BATCH, caller="large")
        await held.send(f"large{number}", work, never_refuse=True)
    await held.send("small", Work(priority=Priority.BATCH, caller="small"), never_refuse=True)
    assert (await held.release()).index("small") <= 2, "at most the items that were queued already go first"


async def test_a_queued_request_is_refused_when_another_one_takes_its_time(held: HeldWorkers) -> None:
    for _ in range(50):
        await held.learn("Identify", 1)
    await held.hold("Identify", caller="flood")
    await held.send("late", Work(kind="Identify", caller="flood", deadline=held.clock() + 2.5))
    held.clock.advance(2)
    await held.send("in time", Work(kind="Identify", caller="other", deadline=held.clock() + 60))
    assert await held.release() == ["in time"]
    assert [type(each) for each in held.refused] == [DeadlineTooShort]


async def test_a_caller_with_large_pictures_does_not_make_others_miss_their_deadlines(held: HeldWorkers) -> None:
    for _ in range(20):
        await held.learn("Identify", 0.1, pixels=10**6)
        await held.learn("Identify", 5, pixels=5 * 10**7)
        held.clock.advance(-5)
    await held.hold("Identify", pixels=10**6)
    await held.send("small", Work(kind="Identify", pixels=10**6, deadline=held.clock() + 1))
    refused = await held.refusal(Work(kind="Identify", pixels=5 * 10**7, deadline=held.clock() + 1))
    assert isinstance(refused, DeadlineTooShort)
    assert await held.release() == ["small"]
