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
"""Of all callers with many refusals, in equal shares."""
_MAX_WAITING = 8192
"""Refusals that wait at a time, about 20 KB each. Further ones are answered at once."""
_CLEAN_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Refusal:
    """The answer to a refused call.

    Attributes:
        refusals: those of the server.
        caller: whose call it is.
        status: the answer.
        cost: seconds until the caller's next refusal is due.
        delay: seconds until this one is due.
    """

    refusals: Refusals
    caller: str
    status: Status
    cost: float
    delay: float

    async def due(self) -> None:
        """Wait until it is time for the answer."""
        if self.delay:
            await self.refusals.wait(self)


class Refusals:
    """The refused calls of all callers. Use it from one event loop.

    A client has at most 128 open calls on a connection; gRPC resets further ones, which takes no time of the event
    loop. So a flood of calls that are refused gets as slow as their answers. Calls that are not refused do not wait.

    Args:
        clock: monotonic seconds.

    Attributes:
        waiting: number of refusals that are not due yet.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._busy_until: dict[str, float] = {}
        """When a caller has as many refusals as it may have at any rate, by caller."""
        self._clean_after = 0.0
        self.waiting = 0

    def refuse(self, caller: str, status: Status, *, after_work: bool = False) -> Refusal:
        """Refuse a call.

        Args:
            caller: whose call it is.
            status: why.
            after_work: whether a worker was busy with it, so that there cannot be many of its kind.
        """
        now = self._clock()
        if now >= self._clean_after:
            self._busy_until = {each: until for each, until in self._busy_until.items() if until > now}
            self._clean_after = now + _CLEAN_SECONDS
        if after_work or self.waiting >= _MAX_WAITING:
            return Refusal(self, caller, status, cost=0, delay=0)
        cost = max(1 / _PER_SECOND, len(self._busy_until) / _ALL_PER_SECOND)
        start = max(self._busy_until.get(caller, now), now)
        self._busy_until[caller] = start + cost
        return Refusal(self, caller, status, cost, delay=max(start - now - _AHEAD_SECONDS, 0))

    async def wait(self, refusal: Refusal) -> None:
        """See :meth:`Refusal.due`."""
        note_refused()
        self.waiting += 1
        try:
            await asyncio.sleep(refusal.delay)
        except asyncio.CancelledError:  # the client is gone, and its other calls need not wait for this one
            if refusal.caller in self._busy_until:
                self._busy_until[refusal.caller] -= refusal.cost
            raise
        finally:
            self.waiting -= 1
