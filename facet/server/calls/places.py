"""How many calls are open, and whose: the places of open calls, and the bounded crowd that has not sent its request."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from facet.server.calls.messages import Messages
from facet.server.errors import (
    RequestNotReceived,
    ServerError,
    ShuttingDown,
    TooManyBytes,
    TooManyCalls,
    TransferStalled,
)

_WAIT_SECONDS = 1.0
"""A call waits at most this long for a place."""


@dataclass(slots=True, eq=False)
class Place:
    """The place of an open call.

    Attributes:
        caller: whose call it is.
        task: runs its handler.
        answered: whether only its answer is still being sent.
        evicted: whether another call took the place.
    """

    caller: str
    task: asyncio.Task[Any]
    answered: bool = False
    evicted: bool = False


class Places:
    """A limited number of open calls of one kind. Use it from one event loop.

    While there are free places, a caller may take them all. When there are none, calls whose client does not take its
    answer end first. Then a caller with few calls goes before one with many.

    Args:
        number: maximum number of open calls.
        preemptive: whether a caller with at least two more calls than a new caller loses its newest one to it. It suits
            calls that never end; others are waited for.
        end: ends a call at once, by its task.
    """

    def __init__(self, number: int, *, preemptive: bool, end: Callable[[asyncio.Task[Any]], None]) -> None:
        self._number = number
        self._end = end
        self._preemptive = preemptive
        self._taken: dict[Place, None] = {}
        self._held: Counter[str] = Counter()
        self._waiters: dict[asyncio.Future[None], str] = {}
        self._given = 0
        """Places of calls that have waited, and whose tasks have not run since."""

    @asynccontextmanager
    async def entered(self, caller: str) -> AsyncIterator[None]:
        """Take a place for the current task, perhaps after a short wait. It keeps it until it is done, or has failed.

        Raises:
            TooManyCalls: there is none, or another call has taken it.
        """
        place = await self._enter(caller)
        place.task.add_done_callback(lambda _: self._leave(place))
        try:
            yield
        except asyncio.CancelledError:
            if not place.evicted:
                raise
            place.task.uncancel()
            raise TooManyCalls from None
        except Exception:
            self._leave(place)  # a refusal is small, and may be sent later
            raise
        finally:
            place.answered = True

    @property
    def _is_full(self) -> bool:
        return len(self._taken) + self._given >= self._number

    async def _enter(self, caller: str) -> Place:
        if self._is_full:
            self._make_room(caller)
        if self._is_full:
            await self._wait(caller)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every call has one
        place = Place(caller, task)
        self._taken[place] = None
        self._held[caller] += 1
        return place

    def _leave(self, place: Place) -> None:
        if place not in self._taken:
            return
        del self._taken[place]
        self._held[place.caller] -= 1
        if not self._held[place.caller]:
            del self._held[place.caller]
        self._give_away()

    def _give_away(self) -> None:
        """Give a free place to a call that waits for one."""
        # A call whose wait is over, or whose client is gone, leaves only when its task runs again.
        waiters = [waiter for waiter in self._waiters if not waiter.done()]
        if waiters:
            fewest = min(waiters, key=lambda waiter: self._held[self._waiters[waiter]])
            del self._waiters[fewest]
            fewest.set_result(None)
            self._given += 1

    def _make_room(self, caller: str) -> None:
        victim = next((place for place in self._taken if place.answered), None)
        if victim is None and self._preemptive:
            richest = max(self._held, key=lambda each: self._held[each])
            if self._held[richest] > self._held[caller] + 1:
                victim = next(place for place in reversed(self._taken) if place.caller == richest)
        if victim is not None:
            victim.evicted = True
            self._leave(victim)
            if victim.answered:
                self._end(victim.task)
            else:
                victim.task.cancel()

    async def _wait(self, caller: str) -> None:
        if self._preemptive or len(self._waiters) >= self._number:
            raise TooManyCalls
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = caller
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await waiter
        except BaseException as error:
            if self._waiters.pop(waiter, None) is None:  # it got a place just as its wait ended
                self._given -= 1
                self._give_away()
            if isinstance(error, TimeoutError):
                raise TooManyCalls from None
            raise
        self._given -= 1


class Arrivals:
    """Calls whose request has not arrived. They hold no place: when there are too many, the oldest ends.

    The requests of well-meaning clients arrive within moments. So under a flood of empty calls, the oldest calls are
    empty ones (as in a SYN cache).

    Args:
        number: maximum number of calls.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._by_caller: dict[str, dict[asyncio.Timeout, None]] = {}
        self._waiting = 0
        self._closed = False

    def close(self) -> None:
        """End all calls whose request has not arrived."""
        self._closed = True
        for timeouts in list(self._by_caller.values()):
            for timeout in timeouts:
                _end_now(timeout)

    def __len__(self) -> int:
        return self._waiting

    @asynccontextmanager
    async def limit(self, caller: str, seconds: float, messages: Messages) -> AsyncIterator[None]:
        """Limit the time that the body waits for a request.

        Args:
            caller: whose call it is.
            seconds: the limit.
            messages: the messages of the call.

        Raises:
            TooManyBytes: the time is over, and there was no room for the request.
            RequestNotReceived: the time of a unary call is over.
            TransferStalled: the time of a stream is over.
            TooManyCalls: other calls wait, and this is the oldest of the caller with the most.
            ShuttingDown: the server accepts no more requests.
        """
        if self._closed:
            raise ShuttingDown
        if self._waiting >= self._number:
            self._end_oldest()
        loop = asyncio.get_running_loop()
        latest = loop.time() + seconds
        try:
            async with asyncio.timeout_at(latest) as timeout:
                self._by_caller.setdefault(caller, {})[timeout] = None
                self._waiting += 1
                try:
                    yield
                finally:
                    self._forget(caller, timeout)
        except TimeoutError:
            raise self._reason(messages, in_time=loop.time() < latest) from None

    def _reason(self, messages: Messages, *, in_time: bool) -> ServerError:
        if self._closed:
            return ShuttingDown()
        if in_time:
            return TooManyCalls()
        if messages.waits_for_room:
            return TooManyBytes()
        return TransferStalled() if messages.method.is_stream else RequestNotReceived()

    def _end_oldest(self) -> None:
        caller = max(self._by_caller, key=lambda each: len(self._by_caller[each]))
        oldest = next(iter(self._by_caller[caller]))
        self._forget(caller, oldest)
        _end_now(oldest)

    def _forget(self, caller: str, timeout: asyncio.Timeout) -> None:
        waiting = self._by_caller.get(caller, {})
        if timeout in waiting:
            del waiting[timeout]
            self._waiting -= 1
            if not waiting:
                del self._by_caller[caller]


def _end_now(timeout: asyncio.Timeout) -> None:
    """Let a time limit be over. It may be over already, if its task has not run since."""
    if not timeout.expired():
        timeout.reschedule(asyncio.get_running_loop().time())
