"""Streams of items: lossless, bounded, and cut off only if the client stalls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from weakref import WeakSet

import pytest
from google.rpc.code_pb2 import INTERNAL, INVALID_ARGUMENT, OK

from facet.server.errors import InvalidField, ShuttingDown, TransferStalled
from facet.server.streaming.batches import Batches, outcome
from tests.waiting import turns

PATIENCE = 60.0


async def items(*numbers: int, then: BaseException | None = None) -> AsyncIterator[int]:
    for number in numbers:
        yield number
    if then is not None:
        raise then


async def endless() -> AsyncIterator[int]:
    await asyncio.Event().wait()
    yield 0


async def same(number: int) -> int:
    return number


async def test_items_are_answered_as_they_finish() -> None:
    first_may_end = asyncio.Event()

    async def answer(number: int) -> int:
        if number == 0:
            await first_may_end.wait()
        return number

    answers = Batches(places=2, stall_seconds=PATIENCE).answers(items(*range(5)), answer)
    assert [await anext(answers) for _ in range(4)] == [1, 2, 3, 4]
    first_may_end.set()
    assert [number async for number in answers] == [0]


async def test_items_in_progress_are_bounded_even_if_answers_are_not_read() -> None:
    begun = taken = 0

    async def counted() -> AsyncIterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    async def answer(number: int) -> int:
        nonlocal begun
        begun += 1
        return number

    answers = Batches(places=3, stall_seconds=PATIENCE).answers(counted(), answer)
    await anext(answers)
    await turns()
    assert begun <= 3
    assert taken <= 4
    assert len([number async for number in answers]) == 99


class Item:
    """Something that can be watched while it is kept."""

    def __init__(self, number: int) -> None:
        self.number = number


async def test_an_item_is_freed_once_it_is_done_even_if_its_answer_is_not_read() -> None:
    kept: WeakSet[Item] = WeakSet()
    second_began, gate = asyncio.Event(), asyncio.Event()

    async def made() -> AsyncIterator[Item]:
        for number in range(3):
            if number == 2:
                await gate.wait()
            item = Item(number)
            kept.add(item)
            yield item
            del item
        await asyncio.Event().wait()

    async def answer(item: Item) -> int:
        if item.number == 0:
            await second_began.wait()
        if item.number == 1:
            second_began.set()
            await gate.wait()
        return item.number

    async with aclosing(Batches(places=4, stall_seconds=PATIENCE).answers(made(), answer)) as answers:
        assert await anext(answers) == 0
        gate.set()
        await turns()  # the second one is done, and the third one is read
        assert await anext(answers) == 1
        await turns()  # the third one is done
        assert not kept


async def test_accepted_items_are_answered_before_the_stream_fails() -> None:
    gate = asyncio.Event()

    async def answer(number: int) -> int:
        await gate.wait()
        return number

    answers = Batches(places=9, stall_seconds=PATIENCE).answers(items(0, 1, 2, then=ValueError("torn")), answer)
    first = asyncio.ensure_future(anext(answers))
    await turns()
    gate.set()
    got = {await first, await anext(answers), await anext(answers)}
    assert got == {0, 1, 2}
    with pytest.raises(ValueError, match="torn"):
        await anext(answers)


async def test_a_client_that_sends_nothing_is_cut_off() -> None:
    with pytest.raises(TransferStalled):
        await anext(Batches(places=2, stall_seconds=0.01).answers(endless(), same))


async def test_slow_work_of_the_server_is_no_stall() -> None:
    async def one_and_no_end() -> AsyncIterator[int]:
        yield 0
        await asyncio.Event().wait()

    async def slow(number: int) -> int:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        loop.call_later(0.1, done.set)
        await done.wait()
        return number

    answers = Batches(places=2, stall_seconds=0.001).answers(one_and_no_end(), slow)
    assert await anext(answers) == 0
    with pytest.raises(TransferStalled):
        await anext(answers)


@pytest.mark.parametrize("requests", [endless, lambda: items(*range(100))])
async def test_a_server_that_shuts_down_accepts_no_items(requests: Callable[[], AsyncIterator[int]]) -> None:
    batches = Batches(places=2, stall_seconds=PATIENCE)
    batches.drain()
    with pytest.raises(ShuttingDown):
        await anext(batches.answers(requests(), same))


async def test_a_server_that_shuts_down_answers_accepted_items() -> None:
    batches, gate = Batches(places=2, stall_seconds=PATIENCE), asyncio.Event()

    async def answer(number: int) -> int:
        await gate.wait()
        return number

    answers = batches.answers(items(*range(100)), answer)
    first = asyncio.ensure_future(anext(answers))
    await turns()
    batches.drain()
    gate.set()
    # two in their places, and one that was read ahead
    assert {await first, await anext(answers), await anext(answers)} == {0, 1, 2}
    with pytest.raises(ShuttingDown):
        await anext(answers)


async def test_a_client_that_disconnects_leaves_no_task_behind() -> None:
    ended: list[int] = []

    async def answer(number: int) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(number)
            raise
        return number

    async with aclosing(Batches(places=3, stall_seconds=PATIENCE).answers(items(*range(10)), answer)) as answers:
        call = asyncio.ensure_future(anext(answers))
        await turns()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert sorted(ended) == [0, 1, 2]


@pytest.mark.parametrize(
    ("error", "code"), [(InvalidField("picture", "is missing"), INVALID_ARGUMENT), (RuntimeError("a fault"), INTERNAL)]
)
async def test_an_item_fails_alone_and_an_internal_error_hides_its_message(error: Exception, code: int) -> None:
    async def fails() -> int:
        raise error

    item_id, status, answer = await outcome("a", fails)
    assert (item_id, status.code, answer) == ("a", code, None)
    assert "a fault" not in status.message


@pytest.mark.parametrize(("item_id", "code"), [("", OK), ("x" * 128, OK), ("x" * 129, INVALID_ARGUMENT)])
async def test_the_id_of_an_item_is_echoed_and_cut_at_its_maximum_length(item_id: str, code: int) -> None:
    answer: Callable[[], Awaitable[int]] = lambda: same(7)  # noqa: E731
    echoed, status, answered = await outcome(item_id, answer)
    assert (echoed, status.code, answered) == (item_id[:128], code, None if code else 7)
