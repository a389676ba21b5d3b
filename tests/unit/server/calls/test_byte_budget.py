"""The bytes that the server holds: shared fairly, and waited for in order."""

from __future__ import annotations

import asyncio

import pytest

from facet.server.calls.byte_budget import ByteBudget, Share
from facet.server.errors import TooManyBytes
from tests.waiting import turns


async def taken(budget: ByteBudget, caller: str, size: int) -> Share:
    return await asyncio.wait_for(budget.take(caller, size, await budget.expect(caller, 0)), 1)


async def test_one_caller_gets_half_and_leaves_room_for_others() -> None:
    budget = ByteBudget(100)
    shares = [await taken(budget, "greedy", 10) for _ in range(5)]
    waiting = asyncio.ensure_future(taken(budget, "greedy", 10))
    await turns()
    assert not waiting.done()
    await taken(budget, "other", 20)
    shares[0].release()
    shares[0].release()  # has no further effect
    shares[1].release()
    await waiting
    assert budget.in_flight == 60


async def test_a_message_of_any_size_fits_an_empty_budget() -> None:
    budget = ByteBudget(100)
    (await taken(budget, "a", 1000)).release()
    assert budget.in_flight == 0


async def test_messages_of_a_caller_are_admitted_in_order_and_those_of_others_pass() -> None:
    budget = ByteBudget(100)
    first = await taken(budget, "a", 50)
    order: list[str] = []

    async def later(caller: str, size: int) -> None:
        await budget.expect(caller, size)
        order.append(f"{caller}{size}")

    waiting = [asyncio.ensure_future(later(*each)) for each in (("a", 30), ("a", 1), ("b", 20))]
    await turns()
    assert order == ["b20"]
    first.release()
    await asyncio.gather(*waiting)
    assert order == ["b20", "a30", "a1"]


async def test_many_small_messages_do_not_keep_a_large_one_of_a_newcomer_waiting() -> None:
    budget = ByteBudget(100)
    shares = [await taken(budget, caller, 1) for caller in "abc" for _ in range(24)]
    newcomer = asyncio.ensure_future(budget.expect("new", 16))
    await turns()
    assert not newcomer.done()
    more = []
    for share in shares:  # whenever a message is done, its caller has the next one
        share.release()
        more.append(asyncio.ensure_future(taken(budget, share.caller, 1)))
        await turns()
    assert newcomer.done()
    (await newcomer).release()
    for caller in "abc":
        (await taken(budget, caller, 1)).release()
    for each in more:
        each.cancel()


async def test_a_waiting_message_that_is_given_up_lets_others_pass() -> None:
    budget = ByteBudget(100)
    await taken(budget, "a", 45)
    large = asyncio.ensure_future(budget.expect("new", 60))
    small = asyncio.ensure_future(budget.expect("a", 1))
    await turns()
    assert not small.done()
    large.cancel()
    assert (await small).size == 1


async def test_a_message_takes_the_room_that_was_kept_for_it() -> None:
    budget = ByteBudget(100)
    await taken(budget, "a", 30)
    expected = await budget.expect("a", 5)
    waiting = asyncio.ensure_future(budget.expect("new", 60))
    await turns()
    assert (await asyncio.wait_for(budget.take("a", 5, expected), 5)).size == 5
    waiting.cancel()


async def test_what_has_arrived_waits_up_to_half_of_the_budget_and_is_then_refused() -> None:
    budget = ByteBudget(100)
    share = await taken(budget, "a", 100)
    waiting = [asyncio.ensure_future(budget.take("a", 25, await budget.expect("b", 0))) for _ in range(2)]
    await turns()
    with pytest.raises(TooManyBytes):
        await budget.take("b", 1, await budget.expect("b", 0))
    share.release()
    assert [(await each).size for each in waiting] == [25, 25]


async def test_memory_is_freed_when_a_message_has_arrived_and_when_it_is_done() -> None:
    freed: list[int] = []
    budget = ByteBudget(100, freed.append)
    share = await taken(budget, "a", 30)
    assert freed == [30]
    share.release()
    share.release()
    assert freed == [30, 30]


async def test_room_that_is_only_expected_frees_no_memory() -> None:
    freed: list[int] = []
    budget = ByteBudget(100, freed.append)
    (await budget.expect("a", 30)).release()
    assert (freed, budget.in_flight) == ([], 0)


async def test_a_message_that_is_given_up_while_it_waits_leaves_nothing() -> None:
    budget = ByteBudget(100)
    share = await taken(budget, "a", 100)
    waiting = asyncio.ensure_future(budget.take("b", 50, await budget.expect("b", 0)))
    await turns()
    share.release()  # grants it, and the task is cancelled before it resumes
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (budget.in_flight, budget.waiting_bytes) == (0, 0)
