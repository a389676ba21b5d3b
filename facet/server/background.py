"""Runs work on threads, away from the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def on_a_thread(task: Callable[[], T], abandon: Callable[[], None] = lambda: None) -> T:
    """Run a task on a thread. If cancelled, call ``abandon``, then wait for the task to end before raising."""
    return await _finished(asyncio.ensure_future(asyncio.to_thread(task)), abandon)


async def on_executor(executor: Executor, task: Callable[[], T], abandon: Callable[[], None] = lambda: None) -> T:
    """Run a task on a thread of an executor, like :func:`on_a_thread`."""
    return await _finished(asyncio.get_running_loop().run_in_executor(executor, task), abandon)


async def _finished(running: asyncio.Future[T], abandon: Callable[[], None]) -> T:
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        abandon()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # marks it as retrieved
        raise


def started_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """Make a pool whose threads run already.

    A pool that starts a thread when a task arrives keeps the task if the thread cannot be started, and raises: a call
    would be refused, and carried out later.

    Args:
        threads: at least 1.
        name: the prefix of their names.

    Raises:
        OSError: a thread cannot be started.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    # The pool starts a thread for a task only if all others are busy, so every task waits until each has its own.
    together = threading.Barrier(threads + 1)
    try:
        for _ in range(threads):
            pool.submit(together.wait)
        together.wait()
    except RuntimeError as error:
        together.abort()
        pool.shutdown(wait=False, cancel_futures=True)
        raise OSError(f"cannot start {threads} threads: {error}") from error
    return pool
