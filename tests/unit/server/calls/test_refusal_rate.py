"""How fast refused calls are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import pytest
from google.rpc.status_pb2 import Status

from facet.server.calls.refusals import Refusals
from tests.waiting import turns

STATUS = Status(code=16)
Delays: TypeAlias = Callable[[str, int], list[float]]


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def refusals(clock: list[float]) -> Refusals:
    return Refusals(lambda: clock[0])


@pytest.fixture
def delays(refusals: Refusals) -> Delays:
    return lambda caller, number: [refusals.refuse(caller, STATUS).delay for _ in range(number)]


def test_few_refusals_are_answered_at_once_and_many_later_and_later(delays: Delays) -> None:
    seconds = delays("a", 1200)
    assert seconds[:200] == [0] * 200
    assert seconds[200:] == sorted(seconds[200:])
    assert seconds[-1] == pytest.approx(1000 / 200, abs=0.01)  # the caller gets 200 refusals a second
    assert delays("b", 1) == [0]


def test_refusals_at_a_sensible_rate_are_never_delayed(delays: Delays, clock: list[float]) -> None:
    for _ in range(1000):
        assert delays("a", 1) == [0]
        clock[0] += 0.006


def test_a_caller_with_many_refusals_is_answered_at_once_again_after_a_pause(
    delays: Delays, clock: list[float]
) -> None:
    delays("a", 400)
    clock[0] += 2
    assert delays("a", 200) == [0] * 200


def test_callers_with_many_refusals_share_what_all_of_them_get(delays: Delays) -> None:
    callers = [str(number) for number in range(50)]
    for caller in callers:
        delays(caller, 202)
    before = {caller: delays(caller, 1)[0] for caller in callers}
    assert all(delays(caller, 10)[-1] - before[caller] == pytest.approx(10 * 50 / 500) for caller in callers)


def test_callers_with_few_refusals_are_answered_at_once_however_many_they_are(delays: Delays) -> None:
    for number in range(1000):
        delays(f"other {number}", 5)
    assert delays("a", 200) == [0] * 200


def test_strangers_do_not_slow_down_callers_with_the_token(refusals: Refusals, delays: Delays) -> None:
    for number in range(100):
        for _ in range(210):
            refusals.refuse(str(number), STATUS, is_stranger=True)
    assert delays("1", 1200)[-1] == pytest.approx(1000 / 200, abs=0.01)
    assert refusals.refuse("1", STATUS, is_stranger=True).delay > 0


def test_a_call_that_a_worker_was_busy_with_is_answered_at_once(refusals: Refusals, delays: Delays) -> None:
    delays("a", 400)
    assert refusals.refuse("a", STATUS, after_work=True).delay == 0
    assert refusals.refuse("a", STATUS).delay > 0


async def test_calls_whose_client_has_left_do_not_delay_later_ones(refusals: Refusals, delays: Delays) -> None:
    delays("a", 201)
    waiting = [asyncio.ensure_future(refusals.refuse("a", STATUS).due()) for _ in range(600)]
    await turns(1)
    assert refusals.waiting == 600
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert refusals.waiting == 0
    assert delays("a", 1)[0] == pytest.approx(1 / 200)


async def test_only_so_many_refusals_wait_as_memory_permits(refusals: Refusals) -> None:
    waiting = [asyncio.ensure_future(refusals.refuse("a", STATUS).due()) for _ in range(2000)]
    await turns(1)
    waiting.append(asyncio.ensure_future(refusals.refuse("a", STATUS).due()))
    await waiting[-1]
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
