"""The compared systems, each in a process of its own, so that one's threads and settings do not affect another."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from facet.benchmarks.serving.in_process import local_config, open_in_process
from facet.benchmarks.timing import per_second, timed
from facet.runtime.process import configure_for_models

Identify = Callable[[bytes], int]
"""Identifies the faces of an encoded picture; returns their number."""


class System(Protocol):
    """A system to compare, before its models are loaded; must be picklable."""

    def open(self) -> AbstractContextManager[Identify]:
        """Load the models."""


@dataclass(frozen=True, slots=True)
class FacetInProcess:
    """Facet's pipeline and gallery without a server.

    Attributes:
        database: path of a database that no other process uses, with the gallery to search.
        objects: ``models.objects``; ``None`` for the default.
        preset: ``server.preset``; ``None`` for the default.
    """

    database: Path
    objects: str | None = None
    preset: str | None = None

    @contextmanager
    def open(self) -> Iterator[Identify]:
        """Load the models."""
        configure_for_models()
        with open_in_process(local_config(self.database, objects=self.objects, preset=self.preset)) as local:
            yield lambda data: len(local(data).faces)


@dataclass(frozen=True, slots=True)
class TimedCall:
    """A call of Identify.

    Attributes:
        milliseconds: its duration.
        faces: number of faces in the answer.
    """

    milliseconds: float
    faces: int


def second_call(identify: Identify, data: bytes) -> TimedCall:
    """Time the second of two calls; the first one warms up the system."""
    identify(data)
    return TimedCall(*timed(partial(identify, data)))


class SystemProcess:
    """A process that runs one system until the context ends.

    Raises:
        BrokenProcessPool: from any call, if the system could not be loaded or its process died. The reason is on
            standard error.
    """

    def __init__(self, system: System) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, mp_context=spawn, initializer=_load, initargs=(system,))

    def time(self, data: bytes) -> TimedCall:
        """Time a call, after one to warm up.

        Args:
            data: encoded picture.
        """
        return self._process.submit(_time, data).result()

    def start_loop(self, data: bytes, seconds: float, threads: int = 1) -> Future[float]:
        """Start to identify one picture repeatedly; gives the calls per second.

        Args:
            data: encoded picture.
            seconds: duration.
            threads: number of threads that call.
        """
        return self._process.submit(_loop, data, seconds, threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.shutdown(cancel_futures=True)


# State of a system's process: what keeps its models open, and its one function.
_opened = ExitStack()
_identify: list[Identify] = []


def _load(system: System) -> None:
    _identify.append(_opened.enter_context(system.open()))


def _time(data: bytes) -> TimedCall:
    return second_call(_identify[0], data)


def _loop(data: bytes, seconds: float, threads: int) -> float:
    return per_second([partial(_identify[0], data)] * threads, seconds)
