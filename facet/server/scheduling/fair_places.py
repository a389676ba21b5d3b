"""A number of places for which callers wait in turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class FairPlaces:
    """A semaphore that gives a free place to the caller whose turn it is, and among its requests to the oldest.

    Args:
        places: how many there are.
        turn: of a caller; the smallest is next.
    """

    def __init__(self, places: int, turn: Callable[[str], float]) -> None:
        self._free = places
        self._turn = turn
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def acquire(self, caller: str) -> None:
        """Take a place, as soon as there is one."""
        if self._free:
            self._free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it got a place just as it was cancelled
                self.release()
            elif place in self._waiting.get(caller, ()):
                self._leave(caller, place)
            raise

    def release(self) -> None:
        """Give a place back."""
        while self._waiting:
            caller = min(self._waiting, key=self._turn)
            place = self._waiting[caller][0]
            self._leave(caller, place)
            if not place.cancelled():  # who is cancelled leaves only when its task runs again
                place.set_result(None)
                return
        self._free += 1

    def _leave(self, caller: str, place: asyncio.Future[None]) -> None:
        self._waiting[caller].remove(place)
        if not self._waiting[caller]:
            del self._waiting[caller]
