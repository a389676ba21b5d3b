"""What is compared runs in processes of its own, so that no side's threads and settings are the other's."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from facet.benchmarks.serving.in_process import defaults, opened
from facet.runtime.process import configure_for_models

Identify = Callable[[bytes], int]


class Recipe(Protocol):
    """How a contender is made in its process; must be picklable."""

    def open(self) -> AbstractContextManager[Identify]:
        """Load the models; what is given takes an encoded picture and says how many faces it has."""


@dataclass(frozen=True, slots=True)
class FacetEngine:
    """Facet without a server.

    Attributes:
        database: with the gallery; of nobody else.
        objects: the model that finds objects; ``None`` for the default.
        preset: of the server; ``None`` for the default.
    """

    database: Path
    objects: str | None = None
    preset: str | None = None

    @contextmanager
    def open(self) -> Iterator[Identify]:
        """See :class:`Recipe`."""
        configure_for_models()
        with opened(defaults(self.database, objects=self.objects, preset=self.preset)) as local:
            yield lambda data: len(local(data).faces)


@dataclass(frozen=True, slots=True)
class Timed:
    """A call: how long it took, and how many faces it answered."""

    milliseconds: float
    faces: int


class Contender:
    """One side of a comparison, in a process that lives until the context ends.

    Raises:
        BrokenProcessPool: from any call: it could not be loaded, or died; it said why on standard error.
    """

    def __init__(self, recipe: Recipe) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin, initargs=(recipe,))

    def time(self, data: bytes) -> Timed:
        """Time a call; one before it wakes the side up and is not counted."""
        return self._process.submit(_time, data).result()

    def loop(self, data: bytes, seconds: float, threads: int = 1) -> Future[float]:
        """Begin to identify one picture again and again, on so many threads; how often a second it was done."""
        return self._process.submit(_loop, data, seconds, threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.shutdown(cancel_futures=True)


_held = ExitStack()
_identify: list[Identify] = []


def _begin(recipe: Recipe) -> None:
    _identify.append(_held.enter_context(recipe.open()))


def _time(data: bytes) -> Timed:
    (identify,) = _identify
    identify(data)
    begun = time.perf_counter()
    faces = identify(data)
    return Timed((time.perf_counter() - begun) * 1e3, faces)


def _loop(data: bytes, seconds: float, threads: int) -> float:
    (identify,) = _identify
    done = [0] * threads
    begun = time.perf_counter()

    def repeat(place: int) -> None:
        while time.perf_counter() < begun + seconds:
            identify(data)
            done[place] += 1

    running = [threading.Thread(target=repeat, args=(place,)) for place in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(done) / (time.perf_counter() - begun)
