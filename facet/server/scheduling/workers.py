"""Runs model work on a few threads behind a bounded queue, and refuses what cannot finish in time."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from math import hypot, inf
from operator import itemgetter
from typing import Any, TypeVar

from facet.runtime.pictures import PictureError
from facet.server.background import started_pool
from facet.server.errors import AdmissionRefused, DeadlineTooShort, QueueFull, RequestExpired
from facet.server.scheduling.cost_model import Cost, CostClass, CostModel
from facet.server.scheduling.fair_places import FairPlaces
from facet.server.scheduling.fair_queue import FairQueue
from facet.server.scheduling.forecast import start_times
from facet.server.scheduling.job import Job
from facet.server.scheduling.turns import TURN_SECONDS, UNFINISHED, Unfinished, stop, take_turn
from facet.server.scheduling.work import Priority, Work
from recognizer.progress import Turns

T = TypeVar("T")

_MIN_RETRY, _MAX_RETRY = 0.05, 60.0
"""Seconds: limits of the retry delay, because it is only an estimate."""
_TIMEOUT_ROUNDING = 0.01
"""gRPC rounds a client's timeout up by at most this share when it sends it, so the client gives up earlier."""
_ANSWER_SECONDS = 0.01
"""Time that an answer takes from a worker to the client."""
_SHORTEST_WATCH = 0.001
_HEAD_START = 1e6
"""Seconds by which work that has started counts as older than it is: no request waits for so long."""


class Workers:
    """A few threads with a bounded queue. Call it from one event loop.

    Args:
        threads: requests that run in parallel.
        max_queue: requests that may be queued as urgently as a new one.
        contention: how much requests that run in parallel slow each other down, until it is learned; see
            :class:`facet.server.scheduling.cost_model.CostModel`.
        clock: seconds, on the clock of the deadlines.
        jitter: a random number in [0, 1).
        pool: runs the tasks; by default a thread pool.
    """

    def __init__(
        self,
        threads: int,
        max_queue: int,
        *,
        contention: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        pool: Executor | None = None,
    ) -> None:
        self.threads = threads
        self.max_queue = max_queue
        self._clock = clock
        self._jitter = jitter
        # Of whole requests, and of their single turns: others wait for a turn only.
        self._costs = CostModel(clock, others=threads - 1, contention=contention)
        self._turn_costs = CostModel(clock, others=threads - 1, contention=contention)
        self._pool = pool or started_pool(threads, "worker")
        self._queue: FairQueue[Job] = FairQueue()
        # Enough batch items to keep the threads busy. If all were queued, they would outlive their handicap together
        # and then block everybody else.
        self._batch_places = FairPlaces(2 * threads, self._queue.tag)
        self._running: set[Job] = set()
        # Requests for large pictures that have started and are not done. They wait for decoders, so more of them would
        # only spend the threads' turns on asking whether a decoder is done.
        self._large: set[Job] = set()
        self._max_large = max(2, threads)
        # Sum over all threads of the time they were busy, until the last change.
        self._thread_seconds, self._changed = 0.0, clock()

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
                threads are queued; the others wait for a place, callers in turn.

        Raises:
            QueueFull: ``max_queue`` requests are queued that are as urgent, and no other caller has more of them; or
                its place went to a caller with fewer.
            DeadlineTooShort: by the estimated cost of the work ahead, it would miss its deadline. While it is queued,
                this is checked again.
            RequestExpired: its deadline passed before the task started, or between its stages.
        """
        return await self._in_place(work, task, never_refuse=never_refuse)

    async def run_in_turns(self, work: Work, turns: Turns[T], *, never_refuse: bool = False) -> T:
        """Run work that may be long: like :meth:`run`, but others get its thread wherever it yields.

        After each turn it is queued again, as its caller's next request. From then on it is never refused, and
        ``work.check()`` alone ends it at its deadline.
        """
        try:
            return await self._in_place(work, partial(take_turn, turns, work), never_refuse=never_refuse)
        finally:
            stop(turns)

    async def _in_place(self, work: Work, task: Callable[[], T | Unfinished], *, never_refuse: bool) -> T:
        if work.priority is not Priority.BATCH:
            return await self._run(work, task, never_refuse=never_refuse)
        with work.stage("queue"):
            await self._batch_places.acquire(work.caller)
        try:
            return await self._run(work, task, never_refuse=never_refuse)
        finally:
            self._batch_places.release()

    async def _run(self, work: Work, task: Callable[[], T | Unfinished], *, never_refuse: bool) -> T:
        with work.stage("queue"):
            job = await self._wait_for_thread(work, never_refuse=never_refuse)
        while (result := await self._run_turn(job, task)) is UNFINISHED:
            with work.stage("queue"):
                await self._granted(job)
        return result

    async def _run_turn(self, job: Job, task: Callable[[], T | Unfinished]) -> T | Unfinished:
        """Run a task on the thread that a job has got; if it returns unfinished, the job is queued again."""
        granted, loop = job.granted, asyncio.get_running_loop()
        try:
            job.work.check()
            running = self._pool.submit(task)
        except BaseException:
            self._release(job)
            raise
        # loop.run_in_executor and a shield would need two more steps of the event loop.
        answer: asyncio.Future[T | Unfinished] = loop.create_future()
        running.add_done_callback(partial(_tell, loop, partial(self._finished, job, answer)))
        try:
            return await answer
        except asyncio.CancelledError:
            job.work.abandon()
            if job.granted is not granted:  # it was queued again just as it was cancelled
                self._leave(job)
            raise
        finally:
            # The traceback of an error refers to this frame. Without this, the cycle would keep the picture alive until
            # the garbage collector runs.
            del running, answer

    def close(self) -> None:
        """Wait for running tasks and drop queued ones."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _wait_for_thread(self, work: Work, *, never_refuse: bool) -> Job:
        work.check()
        job = self._queued(work, never_refuse=never_refuse)
        if len(self._running) < self.threads and self._may_run(job):
            self._grant(job)
        elif not never_refuse:
            self._admit(job)
        await self._granted(job)
        return job

    async def _granted(self, job: Job) -> None:
        """Wait until a queued job gets a thread; raises why it is refused."""
        try:
            refusal = await job.granted
        except asyncio.CancelledError:
            self._leave(job)
            raise
        if refusal is not None:
            raise refusal()

    def _leave(self, job: Job) -> None:
        """Take back a job whose coroutine is cancelled while it is queued, or has just got a thread."""
        if job in self._running:
            self._release(job)
        else:
            self._withdraw(job)

    def _queued(self, work: Work, *, never_refuse: bool) -> Job:
        now = self._clock()
        cost_class = CostClass.of(work.kind, work.pixels)
        job = Job(
            work=work,
            never_refused=never_refuse,
            cost_class=cost_class,
            handicap=work.priority.value,
            charged=self._costs.estimate(cost_class).mean,
            arrival=now,
            due=None if work.deadline is None else _due(work.deadline, now),
            granted=asyncio.get_running_loop().create_future(),
        )
        self._push(job)
        return job

    def _push(self, job: Job) -> None:
        self._queue.push(job, caller=job.work.caller, arrival=job.arrival, handicap=job.handicap, cost=job.charged)

    def _queue_again(self, job: Job) -> None:
        """Queue a job for its next turn, before all of its caller's work that has not started, whatever its priority.

        It may hold what its caller's other jobs wait for. Those that have started take turns, so each gets its thread.
        """
        job.never_refused, job.charged = True, TURN_SECONDS
        job.handicap, job.arrival = 0.0, self._clock() - _HEAD_START
        job.granted = asyncio.get_running_loop().create_future()
        self._push(job)

    def _admit(self, job: Job) -> None:
        """Decide about a request that has just been queued.

        Raises:
            QueueFull: it has no place.
            DeadlineTooShort: it cannot be done in time.
        """
        rivals = self._rivals(job) if len(self._queue) > self.max_queue else []
        is_full = len(rivals) >= self.max_queue
        displaced = self._displaced(job, rivals) if is_full else None
        if is_full and displaced is None:
            raise QueueFull(self._turned_away(job))
        if self._is_too_late(job):
            raise DeadlineTooShort(self._turned_away(job))
        if displaced is not None:
            self._refuse(displaced, QueueFull)
        self._watch(job)

    def _turned_away(self, job: Job) -> float:
        """Take a request out of the queue; returns its retry delay."""
        delay = self._retry_delay(job)
        self._withdraw(job)
        return delay

    def _is_too_late(self, job: Job) -> bool:
        """Whether a queued request would miss its deadline after what is ahead of it."""
        if job.due is None:
            return False
        now = self._clock()
        order = self._queue.order(now)
        return now + self._forecast(job, order[: order.index(job)], now).upper_bound > job.due

    def _rivals(self, job: Job) -> list[Job]:
        """The other queued requests that were admitted and are as urgent: ``max_queue`` limits them."""
        return [
            each for each in self._queue if each is not job and not each.never_refused and each.handicap <= job.handicap
        ]

    def _displaced(self, job: Job, rivals: Sequence[Job]) -> Job | None:
        """The request that loses its place: the last of the caller with most places, if that has more than the job's.

        ``None`` if the job's caller would then have more of them than that caller.
        """
        held = Counter(each.work.caller for each in rivals)
        largest, places = max(held.items(), key=itemgetter(1), default=("", 0))
        if places < held[job.work.caller] + 2:
            return None
        theirs = [each for each in rivals if each.work.caller == largest]
        return max(reversed(theirs), key=lambda each: (each.handicap, each.arrival))

    def _forecast(self, job: Job, ahead: Sequence[Job], now: float) -> Cost:
        """Time until a queued request is done, if those ahead start before it in this order."""
        costs = [self._cost_ahead(each, job) for each in ahead]
        remaining = self._remaining(now)
        *_, start = start_times([each.mean for each in remaining], [*(each.mean for each in costs), 0.0])
        return self._done(job, start, [*remaining, *costs])

    def _done(self, job: Job, start: float, before: Iterable[Cost]) -> Cost:
        """Time until a request is done that starts after this time and this work."""
        own = self._costs.estimate(job.cost_class)
        # A thread that is free early takes what would wait for a late one, so deviations are shared.
        deviation = hypot(*(each.deviation for each in before)) / self.threads
        return Cost(start + own.mean, hypot(deviation, own.deviation))

    def _cost_ahead(self, other: Job, job: Job) -> Cost:
        """How long a job waits for one that is ahead of it: for all its turns if both are of one caller, or large."""
        for_all = other.work.caller == job.work.caller or (other.work.is_large and job.work.is_large)
        costs = self._costs if for_all else self._turn_costs
        return costs.estimate(other.cost_class)

    def _estimates(self, jobs: Sequence[Job]) -> list[Cost]:
        classes = [each.cost_class for each in jobs]
        known = {each: self._costs.estimate(each) for each in set(classes)}
        return [known[each] for each in classes]

    def _remaining(self, now: float) -> list[Cost]:
        """Time until each thread is free. A request that takes longer than expected takes as long again."""
        running = [(self._turn_costs.estimate(job.cost_class), now - job.start) for job in self._running]
        remaining = [Cost(abs(cost.mean - elapsed), cost.deviation) for cost, elapsed in running]
        return remaining + [Cost()] * (self.threads - len(remaining))

    def _retry_delay(self, job: Job) -> float:
        """Seconds after which a request that is refused would be admitted, if nothing else arrived.

        That is between the first moment at which there is room for it and the moment at which all that is queued has
        started. The requests that are refused meanwhile are spread over that time, so that they do not come back
        together.

        Both are upper bounds for any order of service, because the order changes while requests wait: no thread is free
        before the last of some work starts, so it starts no later than its part of the sum.
        """
        now = self._clock()
        remaining = self._remaining(now)
        rivals = self._rivals(job)
        are_rivals = frozenset(rivals)
        costs = self._estimates(rivals)
        others = self._estimates([each for each in self._queue if each is not job and each not in are_rivals])
        in_the_way = sorted((each.mean for each in costs), reverse=True)[: max(0, len(costs) - self.max_queue)]
        first = sum(each.mean for each in (*remaining, *others))
        idle = (first + sum(each.mean for each in costs)) / self.threads
        earliest = (first + sum(in_the_way)) / self.threads if len(costs) >= self.max_queue else 0.0
        if job.due is not None:
            done = self._done(job, idle, [*remaining, *others, *costs])
            earliest = max(earliest, done.upper_bound - (job.due - job.arrival))
        earliest = min(earliest, idle)  # a free thread takes any request
        return min(max(earliest + self._jitter() * (idle - earliest), _MIN_RETRY), _MAX_RETRY)

    def _latest_start(self, job: Job) -> float:
        """When the job must get a thread to be done in time; infinite if that is not known."""
        cost = self._costs.estimate(job.cost_class)
        if job.due is None or job.never_refused or cost == Cost():
            return inf
        return job.due - cost.upper_bound

    def _watch(self, job: Job) -> None:
        """Refuse a queued request as soon as it cannot be done in time any more."""
        left = self._latest_start(job) - self._clock()
        if left < 0:
            self._refuse(job, DeadlineTooShort)
        elif left < inf:
            job.timer = asyncio.get_running_loop().call_later(max(left, _SHORTEST_WATCH), self._watch, job)

    def _refuse(self, job: Job, error: type[AdmissionRefused]) -> None:
        delay = self._turned_away(job)
        if not job.granted.done():
            job.granted.set_result(partial(error, delay))

    def _withdraw(self, job: Job) -> None:
        if job.timer is not None:
            job.timer.cancel()
        self._queue.remove(job)
        if job in self._large:
            self._large.remove(job)
            self._grant_next()

    def _may_run(self, job: Job) -> bool:
        """Whether a queued job may have a thread that is free."""
        if job.work.priority is Priority.BACKGROUND and self._running and self._clock() < job.arrival + job.handicap:
            return False  # even on another thread, it would slow down what runs
        return job in self._large or not job.work.is_large or len(self._large) < self._max_large

    def _grant(self, job: Job) -> None:
        if job.timer is not None:
            job.timer.cancel()
        self._queue.take(job)
        self._count_thread_seconds()
        job.start, job.thread_seconds = self._clock(), self._thread_seconds
        self._running.add(job)
        if job.work.is_large:
            self._large.add(job)
        if not job.granted.done():  # else it was cancelled, and releases the thread when its coroutine resumes
            job.granted.set_result(None)

    def _release(self, job: Job) -> None:
        self._take_thread(job)
        self._large.discard(job)
        self._grant_next()

    def _take_thread(self, job: Job) -> None:
        self._count_thread_seconds()
        self._running.remove(job)
        self._queue.correct(job.work.caller, self._clock() - job.start - job.charged)

    def _grant_next(self) -> None:
        while len(self._running) < self.threads:
            now = self._clock()
            following = self._queue.first(now, self._may_run)
            if following is None:
                break
            if now <= self._latest_start(following):
                self._grant(following)
            else:
                self._refuse(following, DeadlineTooShort)
        if not self._running and not len(self._queue):
            self._queue.reset()

    def _count_thread_seconds(self) -> None:
        now = self._clock()
        self._thread_seconds += len(self._running) * (now - self._changed)
        self._changed = now

    def _finished(self, job: Job, answer: asyncio.Future[Any], running: Future[Any]) -> None:
        """Release the thread when the task finishes, even if the caller was cancelled; give it its answer."""
        self._count_thread_seconds()
        seconds, shared = self._clock() - job.start, self._thread_seconds - job.thread_seconds
        job.served, job.shared = job.served + seconds, job.shared + shared
        # Reading the exception marks it as retrieved: nobody may be waiting for it any more.
        cut_short = running.cancelled() or isinstance(running.exception(), RequestExpired | PictureError)
        is_unfinished = not cut_short and running.exception() is None and running.result() is UNFINISHED
        # A task that was cut short would have taken longer, so it only counts if it exceeds the estimate.
        if not is_unfinished and (not cut_short or job.served > self._costs.estimate(job.cost_class).mean):
            others = job.shared / job.served - 1 if job.served > 0 else 0.0
            self._costs.observe(job.cost_class, job.served, others)
        if not cut_short or seconds > self._turn_costs.estimate(job.cost_class).mean:
            self._turn_costs.observe(job.cost_class, seconds, shared / seconds - 1 if seconds > 0 else 0.0)
        self._take_thread(job)
        if is_unfinished and not job.work.abandoned:
            self._queue_again(job)
        else:
            self._large.discard(job)
        if not answer.done():
            _copy(running, answer)
        self._grant_next()


def _tell(loop: asyncio.AbstractEventLoop, finished: Callable[[Future[Any]], None], running: Future[Any]) -> None:
    """Call back on the event loop, unless it has ended meanwhile."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(finished, running)


def _copy(ended: Future[Any], answer: asyncio.Future[Any]) -> None:
    if ended.cancelled():
        answer.cancel()
    elif (error := ended.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(ended.result())


def _due(deadline: float, now: float) -> float:
    """When the work must be done for its answer to arrive before the client gives up."""
    return deadline - max(_ANSWER_SECONDS, _TIMEOUT_ROUNDING * (deadline - now))
