"""Model work on a few threads, behind a bounded queue.

What cannot be done in time is refused at once, and what nobody waits for any more is not begun.
"""

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
from facet.server.scheduling.aging_queue import WaitingLine
from facet.server.scheduling.cost_model import Cost, Costs, total

T = TypeVar("T")

_LEAST_RETRY, _MOST_RETRY = 0.05, 5.0
"""Seconds: what an estimate is worth."""


class Priority(Enum):
    """How long work stands back behind younger work that is more urgent; the value is seconds."""

    LIVE = 0.0
    """Somebody waits for the answer to one picture."""
    ENROLLMENT = 0.5
    """Somebody waits, and may wait a little longer."""
    BATCH = 2.0
    """One of many."""


@dataclass(slots=True)
class Work:
    """A request on its way through the workers.

    Attributes:
        stopwatch: counts its stages, also the time it waits.
        deadline: on the clock of :func:`time.monotonic`; ``None`` for none.
        kind: the method; what work costs is learnt by kind.
        priority: how long it stands back behind younger work.
    """

    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    deadline: float | None = None
    kind: str = ""
    priority: Priority = Priority.LIVE
    _abandoned: threading.Event = field(default_factory=threading.Event)

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._abandoned.set()

    def stage(self, name: Stage, *, batch: int = 0) -> AbstractContextManager[None]:
        """Time a stage; with :meth:`check` this makes it a :class:`recognizer.progress.Progress`."""
        return self.stopwatch.stage(name, batch=batch)

    def check(self) -> None:
        """Stop here if nobody waits for it any more; called between stages.

        Raises:
            RequestExpired: its deadline has passed, or it was abandoned.
        """
        if self._abandoned.is_set() or (self.deadline is not None and time.monotonic() >= self.deadline):
            raise RequestExpired


@dataclass(slots=True, eq=False)
class _Turn:
    """A request's turn at a thread: waited for until ``come`` is done, then taken, at ``since``."""

    work: Work
    patient: bool
    come: asyncio.Future[None]
    since: float = 0.0


class Workers:
    """A few threads, and a bounded number of requests that wait for one; called from one event loop.

    Args:
        threads: requests worked on side by side.
        max_queue: requests that may wait ahead of one.
        clock: seconds, on the clock of the deadlines.
    """

    def __init__(self, threads: int, max_queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.threads = threads
        self.max_queue = max_queue
        self._clock = clock
        self._costs = Costs(clock)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._line: WaitingLine[_Turn] = WaitingLine()
        # As much of batches as keeps the threads busy: more in the line would grow older than its handicap together,
        # and then go before everybody else.
        self._batch = asyncio.Semaphore(2 * threads)
        self._taken: set[_Turn] = set()

    @property
    def busy(self) -> int:
        """Threads that are taken."""
        return len(self._taken)

    @property
    def waiting(self) -> Mapping[Priority, int]:
        """How many wait for a thread, by priority; of batches, what is in the line."""
        counts = Counter(turn.work.priority for turn in self._line)
        return {priority: counts[priority] for priority in Priority}

    async def run(self, work: Work, task: Callable[[], T], *, patient: bool = False) -> T:
        """Run a task on a worker.

        It waits here and not in the pool's own queue, so that what is cancelled is let go of at once. It is begun at
        once where a thread is free, whatever is thought of its deadline: there is nobody whom it keeps waiting.

        Args:
            work: the request; abandoned when the caller's coroutine is cancelled.
            task: called on a worker's thread; should call ``work.check()`` between its stages.
            patient: wait beside the queue, however long it is, instead of being refused. Of batches twice as many
                as there are threads are in the line, the others wait for a place in it, the first first.

        Raises:
            QueueFull: as many wait ahead of it as may, and the caller is not patient.
            DeadlineTooShort: by what is known of those ahead of it, it would not be done in time, and the caller is not
                patient.
            RequestExpired: the deadline passed before the task was begun or between its stages.
        """
        if work.priority is not Priority.BATCH:
            return await self._run(work, task, patient=patient)
        with work.stopwatch.stage("queue"):
            await self._batch.acquire()
        try:
            return await self._run(work, task, patient=patient)
        finally:
            self._batch.release()

    async def _run(self, work: Work, task: Callable[[], T], *, patient: bool) -> T:
        with work.stopwatch.stage("queue"):
            turn = await self._turn(work, patient)
        try:
            work.check()
            running = asyncio.get_running_loop().run_in_executor(self._pool, task)
        except BaseException:
            self._release(turn)
            raise
        running.add_done_callback(partial(self._ended, turn))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            work.abandon()
            raise
        finally:
            # An error's traceback leads back to this frame: a circle that would hold the picture until it is collected.
            del running

    def close(self) -> None:
        """Wait for what is running; what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _turn(self, work: Work, patient: bool) -> _Turn:
        """Wait for a thread."""
        work.check()
        turn = _Turn(work, patient, asyncio.get_running_loop().create_future())
        if len(self._taken) < self.threads:
            self._give(turn)
        else:
            now, handicap = self._clock(), work.priority.value
            if not patient:
                self._admit(work, self._line.ahead(now, handicap), now)
            self._line.join(turn, now, handicap)
        try:
            await turn.come
        except asyncio.CancelledError:
            if turn in self._taken:  # it was given a thread just as it was cancelled
                self._release(turn)
            else:
                self._line.leave(turn)
            raise
        return turn

    def _admit(self, work: Work, ahead: Sequence[_Turn], now: float) -> None:
        wait = self._wait(ahead, now)
        if sum(not turn.patient for turn in ahead) >= self.max_queue:
            raise QueueFull(_bounded(wait.mean))
        if work.deadline is not None:
            late_by = now + total([wait, self._costs.of(work.kind)]).most - work.deadline
            if late_by > 0:
                raise DeadlineTooShort(_bounded(late_by))

    def _wait(self, ahead: Sequence[_Turn], now: float) -> Cost:
        """How long one will wait for a thread, behind what runs and what is served before it."""
        running = [(self._costs.of(turn.work.kind), now - turn.since) for turn in self._taken]
        left = [Cost(max(0.0, cost.mean - elapsed), cost.deviation) for cost, elapsed in running]
        whole = total([*left, *(self._costs.of(turn.work.kind) for turn in ahead)])
        return Cost(whole.mean / self.threads, whole.deviation / self.threads)

    def _give(self, turn: _Turn) -> None:
        turn.since = self._clock()
        self._taken.add(turn)
        if not turn.come.done():  # else it was cancelled, and will release the thread as soon as it learns of that
            turn.come.set_result(None)

    def _release(self, turn: _Turn) -> None:
        self._taken.remove(turn)
        following = self._line.take()
        if following is not None:
            self._give(following)

    def _ended(self, turn: _Turn, running: asyncio.Future[Any]) -> None:
        """A thread is free again; called when the task has really ended, also after its caller has gone."""
        seconds, kind = self._clock() - turn.since, turn.work.kind
        # Asking for the exception also marks it as seen: nobody may be waiting for it any more.
        cut_short = running.cancelled() or isinstance(running.exception(), RequestExpired)
        # What was cut short would have taken longer still, and so teaches only where it took longer than is thought.
        if not cut_short or seconds > self._costs.of(kind).mean:
            self._costs.observe(kind, seconds)
        self._release(turn)


def _bounded(seconds: float) -> float:
    return min(max(seconds, _LEAST_RETRY), _MOST_RETRY)
