"""Runs model work on a few threads behind a bounded queue, and refuses what cannot finish in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from facet.server.errors import DeadlineTooShort, QueueFull, RequestExpired
from facet.server.observability.stopwatch import Stage, Stopwatch
from facet.server.scheduling.aging_queue import AgingQueue
from facet.server.scheduling.cost_model import Cost, CostModel, total

T = TypeVar("T")

_MIN_RETRY, _MAX_RETRY = 0.05, 5.0
"""Seconds: limits of the retry delay, because it is only an estimate."""


class Priority(Enum):
    """Urgency of a request. The value is its handicap in the queue, in seconds."""

    LIVE = 0.0
    """One picture; the caller waits for the answer."""
    ENROLLMENT = 0.5
    """The caller waits, and can wait a little longer."""
    BATCH = 2.0
    """One of many."""


@dataclass(slots=True)
class Work:
    """A request on its way through the workers; a :class:`recognizer.progress.Progress`.

    Attributes:
        stopwatch: times its stages, including the time in the queue.
        deadline: seconds of :func:`time.monotonic`; ``None`` for none.
        kind: the method; costs are learned for each kind.
        priority: its urgency.
    """

    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    deadline: float | None = None
    kind: str = ""
    priority: Priority = Priority.LIVE
    _abandoned: threading.Event = field(default_factory=threading.Event)

    def abandon(self) -> None:
        """Make the next :meth:`check` stop the work, because its caller is gone."""
        self._abandoned.set()

    def stage(self, name: Stage, *, batch: int = 0) -> AbstractContextManager[None]:
        """Time a stage; see :meth:`recognizer.progress.Progress.stage`."""
        return self.stopwatch.stage(name, batch=batch)

    def check(self) -> None:
        """Stop if the result is no longer wanted; called between stages.

        Raises:
            RequestExpired: its deadline has passed, or it was abandoned.
        """
        if self._abandoned.is_set() or (self.deadline is not None and time.monotonic() >= self.deadline):
            raise RequestExpired


@dataclass(slots=True, eq=False)
class _Job:
    """Work that waits for a thread or runs on one.

    Attributes:
        work: the request.
        never_refused: whether it was queued without admission control.
        granted: done when the job gets a thread.
        start: when it got the thread.
    """

    work: Work
    never_refused: bool
    granted: asyncio.Future[None]
    start: float = 0.0


class Workers:
    """A few threads with a bounded queue. Call it from one event loop.

    Args:
        threads: requests that run in parallel.
        max_queue: requests that may be queued ahead of a new one.
        clock: seconds, on the clock of the deadlines.
    """

    def __init__(self, threads: int, max_queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.threads = threads
        self.max_queue = max_queue
        self._clock = clock
        self._costs = CostModel(clock)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._queue: AgingQueue[_Job] = AgingQueue()
        # Enough batch items to keep the threads busy. If all were queued, they would outlive their handicap together
        # and then block everybody else.
        self._batch_slots = asyncio.Semaphore(2 * threads)
        self._running: set[_Job] = set()

    @property
    def busy(self) -> int:
        """Threads in use."""
        return len(self._running)

    @property
    def waiting(self) -> Mapping[Priority, int]:
        """Queued requests by priority. Batch items that wait for a place in the queue do not count."""
        counts = Counter(job.work.priority for job in self._queue)
        return {priority: counts[priority] for priority in Priority}

    async def run(self, work: Work, task: Callable[[], T], *, never_refuse: bool = False) -> T:
        """Run a task on a worker thread.

        The task starts at once if a thread is free, whatever its deadline. Requests wait here and not in the thread
        pool's own queue, so that a cancelled one releases its picture immediately.

        Args:
            work: the request; abandoned if the calling coroutine is cancelled.
            task: called on a worker thread; should call ``work.check()`` between its stages.
            never_refuse: queue the request however long the queue is. Of batch items, at most twice the number of
                threads are queued; the others wait, in order, for a place.

        Raises:
            QueueFull: ``max_queue`` requests are queued ahead of it.
            DeadlineTooShort: by the estimated cost of the work ahead, it would miss its deadline.
            RequestExpired: its deadline passed before the task started, or between its stages.
        """
        if work.priority is not Priority.BATCH:
            return await self._run(work, task, never_refuse=never_refuse)
        with work.stage("queue"):
            await self._batch_slots.acquire()
        try:
            return await self._run(work, task, never_refuse=never_refuse)
        finally:
            self._batch_slots.release()

    async def _run(self, work: Work, task: Callable[[], T], *, never_refuse: bool) -> T:
        with work.stage("queue"):
            job = await self._wait_for_thread(work, never_refuse=never_refuse)
        try:
            work.check()
            running = asyncio.get_running_loop().run_in_executor(self._pool, task)
        except BaseException:
            self._release(job)
            raise
        running.add_done_callback(partial(self._finished, job))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            work.abandon()
            raise
        finally:
            # The traceback of an error refers to this frame. Without this, the cycle would keep the picture alive until
            # the garbage collector runs.
            del running

    def close(self) -> None:
        """Wait for running tasks and drop queued ones."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _wait_for_thread(self, work: Work, *, never_refuse: bool) -> _Job:
        work.check()
        job = _Job(work, never_refuse, asyncio.get_running_loop().create_future())
        if len(self._running) < self.threads:
            self._grant(job)
        else:
            now, handicap = self._clock(), work.priority.value
            if not never_refuse:
                self._admit(work, self._queue.ahead_of(now, handicap), now)
            self._queue.push(job, now, handicap)
        try:
            await job.granted
        except asyncio.CancelledError:
            if job in self._running:  # it got a thread just as it was cancelled
                self._release(job)
            else:
                self._queue.remove(job)
            raise
        return job

    def _admit(self, work: Work, ahead: Sequence[_Job], now: float) -> None:
        """Raise if the request must be refused."""
        wait = self._estimated_wait(ahead, now)
        if sum(not job.never_refused for job in ahead) >= self.max_queue:
            raise QueueFull(_retry_delay(wait.mean))
        if work.deadline is not None:
            late_by = now + total([wait, self._costs.estimate(work.kind)]).upper_bound - work.deadline
            if late_by > 0:
                raise DeadlineTooShort(_retry_delay(late_by))

    def _estimated_wait(self, ahead: Sequence[_Job], now: float) -> Cost:
        """Time until a thread is free, after the running jobs and those ahead in the queue."""
        running = [(self._costs.estimate(job.work.kind), now - job.start) for job in self._running]
        remaining = [Cost(max(0.0, cost.mean - elapsed), cost.deviation) for cost, elapsed in running]
        combined = total([*remaining, *(self._costs.estimate(job.work.kind) for job in ahead)])
        return Cost(combined.mean / self.threads, combined.deviation / self.threads)

    def _grant(self, job: _Job) -> None:
        job.start = self._clock()
        self._running.add(job)
        if not job.granted.done():  # else it was cancelled, and releases the thread when its coroutine resumes
            job.granted.set_result(None)

    def _release(self, job: _Job) -> None:
        self._running.remove(job)
        following = self._queue.pop()
        if following is not None:
            self._grant(following)

    def _finished(self, job: _Job, running: asyncio.Future[Any]) -> None:
        """Release the thread when the task finishes, even if the caller was cancelled."""
        seconds, kind = self._clock() - job.start, job.work.kind
        # Reading the exception marks it as retrieved: nobody may be waiting for it any more.
        cut_short = running.cancelled() or isinstance(running.exception(), RequestExpired)
        # A task that was cut short would have taken longer, so it only counts if it exceeds the estimate.
        if not cut_short or seconds > self._costs.estimate(kind).mean:
            self._costs.observe(kind, seconds)
        self._release(job)


def _retry_delay(seconds: float) -> float:
    return min(max(seconds, _MIN_RETRY), _MAX_RETRY)
