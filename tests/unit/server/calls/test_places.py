"""Places of open calls: who gets one, and who loses one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from facet.server.calls.ending import CallTasks
from facet.server.calls.places import Places
from facet.server.errors import TooManyCalls


class Call:
    """A call that keeps its place until it is told to end."""

    def __init__(self, places: Places, caller: str) -> None:
        self._done, self.entered = asyncio.Event(), asyncio.Event()
        self.task = asyncio.ensure_future(self._run(places, caller))

    async def _run(self, places: Places, caller: str) -> None:
        async with places.entered(caller):
            self.entered.set()
            await self._done.wait()
        await asyncio.Event().wait()  # its answer is not taken

    def answer(self) -> None:
        """Finish the work."""
        self._done.set()

    async def failed(self) -> bool:
        """Whether it was refused, or lost its place; waits until it ends."""
        with pytest.raises(TooManyCalls):
            await asyncio.wait_for(self.task, 5)
        return True


@pytest.fixture
def calls() -> Callable[..., Any]:
    def make(number: int, *, preemptive: bool) -> tuple[Places, Callable[[str], Call]]:
        places = Places(number, preemptive=preemptive, end=CallTasks().end)
        return places, lambda caller: Call(places, caller)

    return make


async def test_a_unary_call_waits_for_a_place_and_callers_with_few_calls_go_first(calls: Callable[..., Any]) -> None:
    _, call = calls(2, preemptive=False)
    open_calls = [call("a"), call("a")]
    await open_calls[1].entered.wait()
    again, newcomer = call("a"), call("b")
    await asyncio.sleep(0)
    open_calls[0].task.cancel()
    await newcomer.entered.wait()
    assert not again.entered.is_set()
    assert await again.failed()


async def test_calls_whose_answer_is_not_taken_give_way(calls: Callable[..., Any]) -> None:
    _, call = calls(1, preemptive=False)
    first = call("a")
    await first.entered.wait()
    first.answer()
    await asyncio.sleep(0)
    second = call("a")
    await second.entered.wait()
    assert first.task.cancelling() or first.task.cancelled()


async def test_the_caller_with_most_streams_loses_its_newest_to_a_newcomer(calls: Callable[..., Any]) -> None:
    _, call = calls(3, preemptive=True)
    streams = [call("a") for _ in range(3)]
    await streams[-1].entered.wait()
    newcomer = call("b")
    await newcomer.entered.wait()
    assert await streams[-1].failed()
    assert not any(each.task.done() for each in streams[:2])
    assert await call("b").failed()  # it has one, and the other only two
