"""Places of open calls: who gets one, and who loses one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from facet.server.access.grants import public
from facet.server.access.rules import Rule
from facet.server.calls.byte_budget import ByteBudget
from facet.server.calls.ending import CallTasks
from facet.server.calls.messages import Messages
from facet.server.calls.method import Method
from facet.server.calls.pace import Pace
from facet.server.calls.places import Arrivals, Places
from facet.server.errors import ServerError, TooManyCalls
from tests.waiting import turns


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
    await turns(1)
    open_calls[0].task.cancel()
    await newcomer.entered.wait()
    assert not again.entered.is_set()
    assert await again.failed()


async def test_calls_whose_answer_is_not_taken_give_way(calls: Callable[..., Any]) -> None:
    _, call = calls(1, preemptive=False)
    first = call("a")
    await first.entered.wait()
    first.answer()
    await turns(1)
    second = call("a")
    await second.entered.wait()
    assert first.task.cancelling() or first.task.cancelled()


async def test_a_call_that_has_failed_leaves_its_place_before_it_is_answered(calls: Callable[..., Any]) -> None:
    places, call = calls(1, preemptive=False)
    with pytest.raises(ValueError, match="refused"):
        async with places.entered("a"):
            raise ValueError("refused")
    await asyncio.wait_for(call("b").entered.wait(), 5)


async def test_the_caller_with_most_streams_loses_its_newest_to_a_newcomer(calls: Callable[..., Any]) -> None:
    _, call = calls(3, preemptive=True)
    streams = [call("a") for _ in range(3)]
    await streams[-1].entered.wait()
    newcomer = call("b")
    await newcomer.entered.wait()
    assert await streams[-1].failed()
    assert not any(each.task.done() for each in streams[:2])
    assert await call("b").failed()  # it has one, and the other only two


async def test_a_place_goes_to_a_call_that_still_waits_if_another_was_cancelled_at_the_same_time(
    calls: Callable[..., Any],
) -> None:
    _, call = calls(2, preemptive=False)
    open_calls = [call("a"), call("a")]
    await open_calls[1].entered.wait()
    gone, patient = call("b"), call("b")
    await turns(1)
    open_calls[0].task.cancel()
    await turns(1)  # the place is given away in the next turn of the event loop
    gone.task.cancel()
    await asyncio.wait_for(patient.entered.wait(), 5)
    assert gone.task.cancelled()


async def test_a_place_that_was_given_to_a_call_whose_client_left_goes_to_the_next(calls: Callable[..., Any]) -> None:
    _, call = calls(2, preemptive=False)
    open_calls = [call("a"), call("a")]
    await open_calls[1].entered.wait()
    gone, patient = call("b"), call("b")
    await turns(1)
    open_calls[0].task.add_done_callback(lambda _: gone.task.cancel())  # right after it was given the place
    open_calls[0].task.cancel()
    await asyncio.wait_for(patient.entered.wait(), 5)
    assert gone.task.cancelled()


async def test_a_newcomer_does_not_take_the_place_of_a_call_that_has_waited(calls: Callable[..., Any]) -> None:
    _, call = calls(1, preemptive=False)
    first, newcomers = call("a"), list[Call]()
    first.task.add_done_callback(lambda _: newcomers.append(call("c")))  # right before the place is given to the other
    await first.entered.wait()
    patient = call("b")
    await turns(1)
    first.task.cancel()
    await patient.entered.wait()
    assert await newcomers[0].failed()


@pytest.mark.parametrize("drains", [False, True])
async def test_a_call_that_has_just_run_out_of_time_does_not_disturb_others(*, drains: bool) -> None:
    arrivals, budget = Arrivals(1), ByteBudget(1)
    method = Method("/facet.v1.Service/Method", grpc.unary_unary_rpc_method_handler(lambda _request, _context: None))

    async def call(seconds: float) -> None:
        context: Any = None  # it reads nothing
        grant = public(Rule(None))
        messages = Messages(context, method, budget, "a", grant, max_bytes=9, stall_seconds=5, pace=Pace(5, 1))
        async with arrivals.limit("a", seconds, messages):
            if not seconds:
                await asyncio.Event().wait()

    async def drain() -> None:
        arrivals.close()

    late = asyncio.ensure_future(call(0))
    await turns(1)  # its time is over, and its task does not know yet
    await asyncio.ensure_future(drain() if drains else call(5))
    with pytest.raises(ServerError):
        await late
    assert len(arrivals) == 0
