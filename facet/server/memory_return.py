"""Gives freed memory back to the system: glibc keeps it for later allocations otherwise."""

from __future__ import annotations

import asyncio
import ctypes

_ENOUGH = 64 * 2**20
"""Freed bytes after which it is worth looking for memory to give back."""
_DELAY_SECONDS = 0.2


def give_back() -> None:
    """Return freed memory now, which takes up to a second. Does nothing without glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class MemoryReturn:
    """Returns memory a moment after many bytes have been freed, on a thread."""

    def __init__(self) -> None:
        self._freed = 0

    def freed(self, size: int) -> None:
        """Note that bytes have been freed; called on the event loop."""
        before, self._freed = self._freed, self._freed + size
        if before < _ENOUGH <= self._freed:
            asyncio.get_running_loop().call_later(_DELAY_SECONDS, self._give_back)

    def _give_back(self) -> None:
        self._freed = 0
        asyncio.get_running_loop().run_in_executor(None, give_back)
