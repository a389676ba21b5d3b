"""Workers whose threads are blocked until a test releases them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from facet.server.errors import AdmissionRefused
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from tests.waiting import turns, until_in_loop

Until = Callable[[Callable[[], bool]], Awaitable[None]]
HoldWorkers = Callable[..., "HeldWorkers"]


class Clock:
    """A clock that tests advance. It starts an hour ahead, so that no deadline on it passes in real time."""

    def __init__(self) -> None:
        self.now = time.monotonic() + 3600

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class HeldWorkers:
    """Workers that are kept busy until :meth:`release`.

    Args:
        max_queue: room in the queue.
        threads: threads.
        contention: how much work on several threads slows itself down.
        jitter: instead of a random number.

    Attributes:
        clock: measures the cost of work.
        workers: the workers.
        served: names of the requests in the order in which they started.
        refused: why requests were refused that had been queued; known after :meth:`release`.
    """

    def __init__(self, *, max_queue: int = 8, threads: int = 1, contention: float = 0.0, jitter: float = 0.0) -> None:
        self.clock = Clock()
        self.workers = Workers(threads, max_queue, contention=contention, clock=self.clock, jitter=lambda: jitter)
        self.served: list[str] = []
        self.refused: list[AdmissionRefused] = []
        self._gate = threading.Event()
        self._sent: list[asyncio.Future[Any]] = []

    async def learn(self, kind: str, seconds: float, *, pixels: int = 0) -> None:
        """Run a request of a kind that takes this long."""
        await self.workers.run(Work(kind=kind, pixels=pixels), lambda: self.clock.advance(seconds))

    async def hold(self, kind: str = "", *, caller: str = "", pixels: int = 0) -> None:
        """Occupy a thread."""
        busy, work = self.workers.busy, Work(kind=kind, caller=caller, pixels=pixels)
        self._sent.append(asyncio.ensure_future(self.workers.run(work, self._gate.wait)))
        await until_in_loop(lambda: self.workers.busy > busy)

    async def send(self, name: str, work: Work, *, never_refuse: bool = False) -> None:
        """Queue a request; if the queue already holds the maximum of batch items, let it wait for a place."""
        before, workers = queued(self.workers), self.workers
        is_batch, most = work.priority is Priority.BATCH, 2 * workers.threads
        sent = asyncio.ensure_future(workers.run(work, lambda: self.served.append(name), never_refuse=never_refuse))
        self._sent.append(sent)
        await until_in_loop(lambda: queued(workers) > before or (is_batch and workers.waiting[Priority.BATCH] == most))

    async def refusal(self, work: Work) -> AdmissionRefused:
        """Send a request that must be refused before it waits for anything."""
        sent = asyncio.ensure_future(self.workers.run(work, lambda: None))
        await turns(1)
        refused = sent.done()
        sent.cancel()
        with pytest.raises(AdmissionRefused) as caught:
            await sent
        assert refused
        return caught.value

    async def release(self) -> list[str]:
        """Let everything run; returns the order in which requests started."""
        self._gate.set()
        for ended in await asyncio.gather(*self._sent, return_exceptions=True):
            if isinstance(ended, AdmissionRefused):
                self.refused.append(ended)
            elif isinstance(ended, BaseException):
                raise ended
        return self.served


def queued(workers: Workers) -> int:
    return sum(workers.waiting.values())


@pytest.fixture
def until() -> Until:
    """See :func:`until_in_loop`."""
    return until_in_loop


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    """One thread, and room for one request in the queue."""
    made = Workers(threads=1, max_queue=1)
    yield made
    made.close()


@pytest.fixture
async def hold_workers() -> AsyncIterator[HoldWorkers]:
    """Make workers to be held; they are released and closed after the test."""
    made: list[HeldWorkers] = []

    def make(**settings: Any) -> HeldWorkers:
        made.append(HeldWorkers(**settings))
        return made[-1]

    yield make
    for each in made:
        await each.release()
        each.workers.close()


@pytest.fixture
async def held(hold_workers: HoldWorkers) -> HeldWorkers:
    """One thread that can be held, and room for eight requests in the queue."""
    return hold_workers()
