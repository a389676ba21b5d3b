"""Waiting for what something else does: a process, a thread, or a task. No test guesses how long that takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds after which something that should have happened does not happen any more."""
_INTERVAL = 0.01
_TURNS = 100
"""More than tasks need that wait only for each other."""


def until(condition: Callable[[], object], what: str = "the condition never held") -> None:
    """Wait until a condition holds; fails with ``what`` if it does not in :data:`PATIENCE`."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(_INTERVAL)


async def until_in_loop(condition: Callable[[], object], what: str = "the condition never held") -> None:
    """Let the other tasks of this event loop run until a condition holds; it is checked after each turn of the loop.

    A state that lasts for one turn is seen. What takes real time is waited for with :func:`until` on a thread.
    """
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, what
        await asyncio.sleep(0)


async def turns(count: int = _TURNS) -> None:
    """Let the other tasks of this event loop run for so many turns of it: as far as they can without time passing."""
    for _ in range(count):
        await asyncio.sleep(0)
