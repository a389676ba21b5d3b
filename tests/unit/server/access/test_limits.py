"""Limits on a caller's calls per second, and on its open calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from facet.server.access import limits
from facet.server.access.grants import Grant
from facet.server.access.identity import ANONYMOUS, Identity
from facet.server.access.limits import CallerLimits
from facet.server.access.rules import Rule
from facet.server.errors import CallerConcurrencyExceeded, CallerRateExceeded
from tests.waiting import turns, until_in_loop

HERE, THERE = "ipv4:127.0.0.1:50000", "ipv4:192.0.2.1:50000"


class Clock:
    """Monotonic seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def grant(identity: Identity) -> Grant:
    return Grant(Rule(None), lambda: identity)


def key(number: int, *, calls_per_second: float | None = None, concurrent_calls: int | None = None) -> Grant:
    return grant(Identity(f"key:{number}", calls_per_second=calls_per_second, concurrent_calls=concurrent_calls))


async def call(limited: CallerLimits, granted: Grant, peer: str = HERE) -> None:
    """A call that ends at once, as a task of its own."""

    async def run() -> None:
        with limited.entered(granted, peer):
            pass

    await asyncio.ensure_future(run())


async def made(limited: CallerLimits, granted: Grant, peer: str = HERE) -> int:
    """How many calls a caller can make now."""
    count = 0
    while count < 1000:
        try:
            await call(limited, granted, peer)
        except CallerRateExceeded:
            break
        count += 1
    return count


async def test_a_caller_may_make_the_calls_of_a_second_at_once_and_then_keeps_its_rate() -> None:
    clock = Clock()
    limited = CallerLimits(5, clock=clock)
    assert await made(limited, key(1)) == 5
    clock.now += 0.4
    assert await made(limited, key(1)) == 2
    clock.now += 3600
    assert await made(limited, key(1)) == 5, "an idle hour saves nothing up"


async def test_a_caller_is_told_when_its_next_call_is_accepted_and_refused_calls_do_not_count() -> None:
    clock = Clock()
    limited = CallerLimits(0.5, clock=clock)
    assert await made(limited, key(1)) == 2
    for _ in range(20):
        with pytest.raises(CallerRateExceeded) as refused:
            await call(limited, key(1))
    assert refused.value.retry_seconds == pytest.approx(4.0)
    clock.now += 4.0
    assert await made(limited, key(1)) == 2, "enough for a client that asks for the limits, and then streams"


async def test_callers_have_limits_of_their_own() -> None:
    limited = CallerLimits(5, 1, clock=Clock())
    assert await made(limited, key(1)) == 5
    assert await made(limited, key(2)) == 5
    assert await made(limited, key(3, calls_per_second=9)) == 9, "its entry's limit is in effect, and not the server's"
    assert await made(CallerLimits(), key(4)) == 1000, "no limit"


async def test_clients_that_share_an_identity_have_limits_by_address_and_not_by_connection() -> None:
    limited = CallerLimits(3, clock=Clock())
    assert await made(limited, grant(ANONYMOUS), HERE) == 3
    assert await made(limited, grant(ANONYMOUS), "ipv4:127.0.0.1:50001") == 0
    assert await made(limited, grant(ANONYMOUS), THERE) == 3


class OpenCall:
    """A call that stays open until the test ends it."""

    def __init__(self, limited: CallerLimits, granted: Grant, body: Callable[[], None] = lambda: None) -> None:
        self._may_end = asyncio.Event()
        self._limited, self._granted, self._body = limited, granted, body
        self.has_answered = asyncio.Event()
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        with self._limited.entered(self._granted, HERE):
            self._body()
        self.has_answered.set()
        await self._may_end.wait()

    async def end(self) -> None:
        self._may_end.set()
        await self.task


async def test_a_call_is_open_until_its_answer_is_taken() -> None:
    limited = CallerLimits(None, 2)
    open_calls = [OpenCall(limited, key(1)) for _ in range(2)]
    for each in open_calls:
        await each.has_answered.wait()
    with pytest.raises(CallerConcurrencyExceeded) as refused:
        await call(limited, key(1))
    assert refused.value.retry_seconds
    await call(limited, key(2))
    await open_calls[0].end()
    await turns()
    await call(limited, key(1))
    await open_calls[1].end()


async def test_a_call_that_fails_is_not_open_while_its_refusal_waits() -> None:
    limited = CallerLimits(None, 1)

    async def fails() -> None:
        with pytest.raises(ZeroDivisionError), limited.entered(key(1), HERE):
            _ = 1 / 0
        await call(limited, key(1))

    await asyncio.ensure_future(fails())
    await call(limited, key(1))


async def test_each_picture_of_a_stream_after_the_first_waits_for_the_rate() -> None:
    clock = Clock()
    noted: list[tuple[str, str]] = []
    limited = CallerLimits(4, note=lambda *each: noted.append(each), clock=clock)
    done = 0

    async def stream() -> None:
        nonlocal done
        with limited.entered(key(1), HERE):
            for _ in range(100):
                await limits.turn()
                done += 1

    running = asyncio.ensure_future(stream())
    await turns()
    assert done == 3, "the call itself, which is the first picture, and two more: one call of the second is left"
    await call(limited, key(1))
    with pytest.raises(CallerRateExceeded):
        await call(limited, key(1))
    clock.now += 0.5
    await until_in_loop(lambda: done > 3)
    assert done == 4, "two calls are there again, of which one is left for others"
    assert noted == [("key:1", "rate"), ("key:1", "waited")]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_streams_of_a_caller_take_turns() -> None:
    limited = CallerLimits(400)
    served: list[int] = []
    all_are_open = asyncio.Barrier(3)

    async def stream(number: int) -> None:
        with limited.entered(key(1), HERE):
            await all_are_open.wait()
            while len(served) < 490:
                await limits.turn()
                served.append(number)

    await asyncio.gather(*(asyncio.ensure_future(stream(number)) for number in range(3)))
    last = served[-60:]
    assert all(last.count(number) >= 15 for number in range(3)), (
        "whoever took the burst has no more than the others now"
    )


async def test_callers_that_have_gone_are_forgotten() -> None:
    clock = Clock()
    limited = CallerLimits(1, clock=clock)
    for number in range(10_000):
        clock.now += 0.1
        await call(limited, key(number))
    assert len(limited) < 5_000
    with ExitStack() as stack:
        stack.enter_context(limited.entered(key(0), HERE))


async def test_nothing_waits_outside_calls() -> None:
    await limits.turn()
