"""Workers in virtual time: tasks take as long as they say, and no time passes while they do."""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, TypeVar

from facet.server.scheduling.workers import Workers

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer as soon as nothing else is to do.

    The clock starts an hour ahead, so that no deadline on it passes in real time.
    """

    def __init__(self) -> None:
        self.now = time.monotonic() + 3600
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._of = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self._of.now += timeout
        return ready


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a worker.

    Attributes:
        seconds: how long it takes alone.
        begun: called when it starts.
    """

    seconds: float
    begun: Callable[[], object] = lambda: None

    def __call__(self) -> None:
        self.begun()


class VirtualPool(Executor):
    """Runs tasks in virtual time. Each takes ``1 + contention * others`` times as long beside others.

    Args:
        loop: has the clock.
        contention: how much tasks slow each other down.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, contention: float = 0.0) -> None:
        self._loop = loop
        self._contention = contention
        self._left: dict[Future[Any], float] = {}
        self._changed = loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, fn: Callable[..., T], /, *_args: Any, **_kwargs: Any) -> Future[T]:
        assert isinstance(fn, Task)
        fn()
        done: Future[T] = Future()
        self._progress()
        self._left[done] = fn.seconds
        self._wake()
        return done

    def _slowdown(self) -> float:
        return 1 + self._contention * (len(self._left) - 1)

    def _progress(self) -> None:
        passed, self._changed = self._loop.time() - self._changed, self._loop.time()
        for each in self._left:
            self._left[each] -= passed / self._slowdown()

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._left:
            self._timer = self._loop.call_later(max(0.0, min(self._left.values()) * self._slowdown()), self._finish)

    def _finish(self) -> None:
        self._progress()
        finished = [each for each, left in self._left.items() if left < 1e-9]
        for each in finished:
            del self._left[each]
        self._wake()
        for each in finished:
            each.set_result(None)


def simulate(
    scenario: Callable[[Workers], Awaitable[T]],
    *,
    threads: int,
    max_queue: int,
    contention: float = 0.0,
    jitter: Callable[[], float] = random.Random(0).random,  # noqa: B008 - the same numbers in every run
) -> T:
    """Run a scenario on workers in virtual time, to its end."""
    loop = VirtualTimeLoop()
    try:
        pool = VirtualPool(loop, contention)
        workers = Workers(threads, max_queue, contention=contention, clock=loop.time, jitter=jitter, pool=pool)
        return loop.run_until_complete(_awaited(scenario, workers))
    finally:
        loop.close()


async def _awaited(scenario: Callable[[Workers], Awaitable[T]], workers: Workers) -> T:
    return await scenario(workers)


def now() -> float:
    """Seconds on the clock of the running loop."""
    return asyncio.get_running_loop().time()
