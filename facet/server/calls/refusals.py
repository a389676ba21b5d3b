"""When refused calls are answered: later and later if a caller has many of them, because each takes time of all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from google.rpc.status_pb2 import Status

from facet.server.connections.activity import note_refused

_PER_SECOND = 200.0
"""Refusals of one caller. A refused call takes about half a millisecond of the event loop."""
_AHEAD_SECONDS = 1.0
"""A caller may have the refusals of this time at once."""
_ALL_PER_SECOND = 500.0
"""Of all callers that are ahead, in equal shares."""
_MAX_WAITING = 1024
"""Refusals that wait at a time. Further ones are answered at once, because gRPC may hold 256 KB of each such call."""
_CLEAN_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Refusal:
    """The answer to a refused call.

    Attributes:
        refusals: those of the server.
        group: the callers that share with this one.
        caller: whose call it is.
        status: the answer.
        cost: seconds until the caller's next refusal is due.
        delay: seconds until this one is due.
    """

    refusals: Refusals
    group: _Group
    caller: str
    status: Status
    cost: float
    delay: float

    async def due(self) -> None:
        """Wait until it is time for the answer."""
        if self.delay:
            await self.refusals.wait(self)


class _Group:
    """Callers that share what all of them get."""

    def __init__(self) -> None:
        self._busy_until: dict[str, float] = {}
        """When a caller has as many refusals as it may have at any rate, by caller."""
        self._ahead: set[str] = set()
        """Those that have had all they may have at once, at most a second ago."""
        self._clean_after = 0.0

    def take(self, caller: str, now: float) -> tuple[float, float]:
        """Count a refusal; returns its cost and its delay, see :class:`Refusal`."""
        if now >= self._clean_after:
            self._busy_until = {each: until for each, until in self._busy_until.items() if until > now}
            self._ahead = {each for each in self._ahead if self._busy_until.get(each, now) > now + _AHEAD_SECONDS}
            self._clean_after = now + _CLEAN_SECONDS
        start = max(self._busy_until.get(caller, now), now)
        if start > now + _AHEAD_SECONDS:
            self._ahead.add(caller)
        cost = max(1 / _PER_SECOND, len(self._ahead) / _ALL_PER_SECOND if caller in self._ahead else 0)
        self._busy_until[caller] = start + cost
        return cost, max(start - now - _AHEAD_SECONDS, 0)

    def give_back(self, caller: str, cost: float) -> None:
        """Forget a refusal."""
        if caller in self._busy_until:
            self._busy_until[caller] -= cost


class Refusals:
    """The refused calls of all callers. Use it from one event loop.

    A client has at most 128 open calls on a connection; gRPC resets further ones, which takes no time of the event
    loop. So a flood of calls that are refused gets as slow as their answers. Calls that are not refused do not wait.

    Strangers, who lack the token, have their own shares: however many they are, they do not slow down the others.

    Refusals of the queue, QUEUE_FULL and DEADLINE_TOO_SHORT, are never delayed: their RetryInfo counts from the moment
    of the refusal.

    Args:
        clock: monotonic seconds.

    Attributes:
        waiting: number of refusals that are not due yet.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._callers, self._strangers = _Group(), _Group()
        self.waiting = 0

    def refuse(self, caller: str, status: Status, *, is_stranger: bool = False, after_work: bool = False) -> Refusal:
        """Refuse a call.

        Args:
            caller: whose call it is.
            status: why.
            is_stranger: whether the call lacks the token.
            after_work: whether it has waited for a worker or kept one busy, so that there cannot be many of its kind,
                or its answer says when to come back.
        """
        group = self._strangers if is_stranger else self._callers
        if after_work or self.waiting >= _MAX_WAITING:
            return Refusal(self, group, caller, status, cost=0, delay=0)
        cost, delay = group.take(caller, self._clock())
        return Refusal(self, group, caller, status, cost, delay)

    async def wait(self, refusal: Refusal) -> None:
        """See :meth:`Refusal.due`."""
        note_refused()
        self.waiting += 1
        try:
            await asyncio.sleep(refusal.delay)
        except asyncio.CancelledError:  # the client is gone, and its other calls need not wait for this one
            refusal.group.give_back(refusal.caller, refusal.cost)
            raise
        finally:
            self.waiting -= 1
