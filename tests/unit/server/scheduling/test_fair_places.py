"""Places for which callers wait in turn."""

from __future__ import annotations

import asyncio

import pytest

from facet.server.scheduling.fair_places import FairPlaces
from tests.waiting import turns


async def test_a_free_place_goes_to_the_caller_whose_turn_it_is() -> None:
    served = {"a": 3.0, "b": 1.0}
    places = FairPlaces(1, served.__getitem__)
    await places.acquire("a")
    got: list[str] = []

    async def take(name: str) -> None:
        await places.acquire(name[0])
        got.append(name)

    tasks = [asyncio.ensure_future(take(name)) for name in ("a1", "a2", "b1")]
    await turns()
    for _ in range(3):
        places.release()
        await turns()
    assert got == ["b1", "a1", "a2"]
    await asyncio.gather(*tasks)


async def test_whoever_stops_waiting_leaves_its_place_to_the_next() -> None:
    places = FairPlaces(1, lambda _caller: 0.0)
    await places.acquire("a")
    waiting = [asyncio.ensure_future(places.acquire(caller)) for caller in ("a", "b", "c")]
    await turns()
    waiting[0].cancel()
    await turns()
    places.release()
    waiting[1].cancel()  # it has the place by now, and has not run since
    await turns()
    assert waiting[2].done()
    for each in waiting[:2]:
        with pytest.raises(asyncio.CancelledError):
            await each


async def test_a_place_that_is_free_before_the_cancelled_ones_have_left_goes_to_the_next() -> None:
    places = FairPlaces(1, lambda _: 0.0)
    await places.acquire("ann")
    cancelled = [asyncio.create_task(places.acquire("bob")) for _ in range(2)]
    patient = asyncio.create_task(places.acquire("cid"))
    await turns()
    for task in cancelled:
        task.cancel()
    places.release()
    await asyncio.wait_for(patient, 10)
    assert [task.cancelled() for task in await settled(cancelled)] == [True, True]
    places.release()
    await asyncio.wait_for(places.acquire("dan"), 10)


async def test_a_place_whose_waiters_are_all_cancelled_is_free() -> None:
    places = FairPlaces(1, lambda _: 0.0)
    await places.acquire("ann")
    cancelled = asyncio.create_task(places.acquire("bob"))
    await turns()
    cancelled.cancel()
    places.release()
    await settled([cancelled])
    await asyncio.wait_for(places.acquire("cid"), 10)


async def settled(tasks: list[asyncio.Task[None]]) -> list[asyncio.Task[None]]:
    """The tasks, when all have ended."""
    await asyncio.wait(tasks)
    return tasks
