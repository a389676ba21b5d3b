"""The bytes of request messages that the server holds at a time, shared fairly between callers."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from facet.server.errors import TooManyBytes


@dataclass(slots=True, eq=False)
class Share:
    """A part of the budget that a message takes.

    Attributes:
        budget: the budget.
        caller: who sent the message.
        size: its bytes; 0 once released.
        is_expected: whether the message has not arrived yet, so that there is no memory to free.
    """

    budget: ByteBudget
    caller: str
    size: int
    is_expected: bool = False

    def release(self) -> None:
        """Give the bytes back. Only the first call has an effect."""
        self.budget.give_back(self)


@dataclass(slots=True, eq=False)
class _Waiter:
    caller: str
    size: int
    granted: asyncio.Future[Share]


class ByteBudget:
    """Counts bytes of messages from their arrival until the server is done with them. Use it from one event loop.

    A caller may hold as many bytes as stay free for others (the dynamic thresholds of Choudhury and Hahne, 1998). One
    caller alone gets half of the budget, and a newcomer with a small message always finds room. A single message may
    always take the whole of an empty budget. While a message waits, callers that hold more than its caller get nothing:
    otherwise many small messages would use up, again and again, the room that a larger one waits for.

    Args:
        max_bytes: the budget.
        freed: called with the number of bytes whenever memory has been freed: gRPC's copy of a message that has
            arrived, and later the message. Room that was only expected to be used is no memory.

    Attributes:
        max_bytes: the budget.
        in_flight: bytes of messages in progress, and of those that are expected.
    """

    def __init__(self, max_bytes: int, freed: Callable[[int], None] = lambda _: None) -> None:
        self.max_bytes = max_bytes
        self._freed = freed
        self._held: Counter[str] = Counter()
        self._waiters: list[_Waiter] = []
        self._arrived = 0
        self.in_flight = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of messages that have arrived and wait for room."""
        return self._arrived

    async def expect(self, caller: str, size: int) -> Share:
        """Wait for room for a message that has not been read yet, so that its sender is slowed down.

        Args:
            caller: who sends it.
            size: its expected bytes.
        """
        share = await self._room(caller, size)
        share.is_expected = True
        return share

    async def take(self, caller: str, size: int, expected: Share) -> Share:
        """Account for a message that has arrived; waits in order of arrival until there is room.

        Args:
            caller: who sent it.
            size: its bytes.
            expected: what :meth:`expect` returned for it; released.

        Raises:
            TooManyBytes: too many bytes wait already.
        """
        had_room = size <= expected.size
        self._return(expected)
        self._freed(size)
        try:
            if self._fits(caller, size) and (had_room or not self._yields(caller)):
                return self._grant(caller, size)
            return await self._room_of_arrived(caller, size)
        except BaseException:  # the message is dropped
            self._freed(size)
            raise
        finally:
            self._admit_waiters()

    def give_back(self, share: Share) -> None:
        """See :meth:`Share.release`."""
        size = share.size
        if size:
            self._return(share)
            self._admit_waiters()
            if not share.is_expected:
                self._freed(size)

    async def _room_of_arrived(self, caller: str, size: int) -> Share:
        if self._arrived + size > self.max_bytes // 2:
            raise TooManyBytes
        self._arrived += size
        try:
            return await self._room(caller, size)
        finally:
            self._arrived -= size

    async def _room(self, caller: str, size: int) -> Share:
        is_first = not any(waiter.caller == caller for waiter in self._waiters)
        if is_first and self._fits(caller, size) and not self._yields(caller):
            return self._grant(caller, size)
        waiter = _Waiter(caller, size, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._return(waiter.granted.result())
                self._admit_waiters()
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._admit_waiters()

    def _yields(self, caller: str) -> bool:
        """Whether a caller holds more than another one that waits."""
        return any(
            self._held[waiter.caller] < self._held[caller] for waiter in self._waiters if not waiter.granted.done()
        )

    def _fits(self, caller: str, size: int) -> bool:
        if not self.in_flight:
            return True
        return self._held[caller] + size <= self.max_bytes - self.in_flight - size

    def _grant(self, caller: str, size: int) -> Share:
        self.in_flight += size
        self._held[caller] += size
        return Share(self, caller, size)

    def _return(self, share: Share) -> None:
        self.in_flight -= share.size
        self._held[share.caller] -= share.size
        if self._held[share.caller] <= 0:
            del self._held[share.caller]
        share.size = 0

    def _admit_waiters(self) -> None:
        refused: set[str] = set()  # so that the messages of a caller keep their order
        most = math.inf
        for waiter in list(self._waiters):
            if waiter.caller in refused or waiter.granted.done():
                continue
            if self._held[waiter.caller] <= most and self._fits(waiter.caller, waiter.size):
                self._waiters.remove(waiter)
                waiter.granted.set_result(self._grant(waiter.caller, waiter.size))
            else:
                refused.add(waiter.caller)
                most = min(most, self._held[waiter.caller])
