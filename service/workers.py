"""Model work on a few threads, behind a bounded queue; what nobody waits for any more is not begun."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from service.stopwatch import Stopwatch

T = TypeVar("T")


class QueueFull(Exception):
    """As many requests wait for a worker as may."""


class RequestExpired(Exception):
    """The deadline has passed, or the caller went away."""


@dataclass(slots=True)
class Work:
    """A request on its way through the workers.

    Attributes:
        stopwatch: counts its stages, also the time it waits.
        deadline: on the clock of :func:`time.monotonic`; ``None`` for none.
    """

    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    deadline: float | None = None
    _abandoned: threading.Event = field(default_factory=threading.Event)

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._abandoned.set()

    def check(self) -> None:
        """Stop here if nobody waits for it any more; called between stages.

        Raises:
            RequestExpired: its deadline has passed, or it was abandoned.
        """
        if self._abandoned.is_set() or (self.deadline is not None and time.monotonic() >= self.deadline):
            raise RequestExpired


class Workers:
    """A few threads, and a bounded number of requests that wait for one.

    Args:
        threads: requests worked on side by side.
        max_queue: requests that may wait.
    """

    def __init__(self, threads: int, max_queue: int) -> None:
        self.threads = threads
        self.max_queue = max_queue
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._idle = asyncio.Semaphore(threads)
        self._waiting = 0

    async def run(self, work: Work, task: Callable[[], T], *, patient: bool = False) -> T:
        """Run a task on a worker.

        It waits here and not in the pool's own queue, so that what is cancelled is let go of at once.

        Args:
            work: the request; abandoned when the caller's coroutine is cancelled.
            task: called on a worker's thread; should call ``work.check()`` between its stages.
            patient: wait beside the queue, however long it is, instead of being refused.

        Raises:
            QueueFull: as many wait as may, and the caller is not patient.
            RequestExpired: the deadline passed before the task was begun or between its stages.
        """
        if not patient and self._idle.locked() and self._waiting >= self.max_queue:
            raise QueueFull
        self._waiting += not patient
        with work.stopwatch.stage("queue"):
            try:
                await self._idle.acquire()
            finally:
                self._waiting -= not patient
        try:
            work.check()
            running = asyncio.get_running_loop().run_in_executor(self._pool, task)
        except BaseException:
            self._idle.release()
            raise
        running.add_done_callback(self._ended)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            work.abandon()
            raise

    def _ended(self, running: asyncio.Future[Any]) -> None:
        """A thread is free again; called when the task has really ended, also after its caller has gone."""
        self._idle.release()
        if not running.cancelled():
            running.exception()  # marks it as seen: nobody may be waiting for it any more

    def close(self) -> None:
        """Wait for what is running; what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def usable_cores() -> int:
    """How many cores this process may use, by its affinity and its cgroup (version 2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123 - a kernel file
            quota, period = file.read().split()
        return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores
