"""Runs long work on a thread, away from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def on_a_thread(task: Callable[[], T], abandon: Callable[[], None] = lambda: None) -> T:
    """Run a task on a thread. If cancelled, call ``abandon``, then wait for the task to end before raising."""
    running = asyncio.ensure_future(asyncio.to_thread(task))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        abandon()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # marks it as retrieved
        raise
