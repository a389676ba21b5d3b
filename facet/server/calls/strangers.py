"""Logs calls without the token: a line for each would let anybody who reaches the port fill the disk."""

from __future__ import annotations

import asyncio

import structlog

_SECONDS = 10.0

_log = structlog.get_logger("facet.call")


class Strangers:
    """Calls that were refused because they lack the token. Use it from one event loop.

    The first has a line of its own in the log; those of the next ten seconds share one.
    """

    def __init__(self) -> None:
        self._unlogged = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self) -> bool:
        """Note a call; returns whether it has a line of its own."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self.tell)
            return True
        self._unlogged += 1
        return False

    def tell(self) -> None:
        """Log how many calls had no line of their own."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unlogged:
            _log.warning("calls without the token", calls=self._unlogged)
            self._unlogged = 0
