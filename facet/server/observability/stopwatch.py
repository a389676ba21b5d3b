"""Times the stages of a request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from facet.v1.types_pb2 import Timings

Stage = Literal["decode", "queue", "detect", "faces", "align", "embed", "search", "store"]
STAGES: tuple[Stage, ...] = ("decode", "queue", "detect", "faces", "align", "embed", "search", "store")
"""In the order of tables."""


class Lap(NamedTuple):
    """One run of a stage.

    Attributes:
        stage: the stage.
        start: seconds of :func:`time.monotonic`.
        end: seconds of :func:`time.monotonic`.
        batch: number of inputs that a model got at once; 0 if the stage does not count them.
    """

    stage: Stage
    start: float
    end: float
    batch: int


class Stopwatch:
    """Starts when it is created. A stage that runs twice counts with the sum.

    Attributes:
        start: seconds of :func:`time.monotonic`.
    """

    def __init__(self) -> None:
        self.start = time.monotonic()
        self._laps: list[Lap] = []

    @contextmanager
    def stage(self, name: Stage, *, batch: int = 0) -> Iterator[None]:
        """Time a stage; ``batch`` is the number of inputs that a model gets at once."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._laps.append(Lap(name, start, time.monotonic(), batch))

    def add(self, name: Stage, seconds: float) -> None:
        """Add a stage that was measured elsewhere and has just ended."""
        now = time.monotonic()
        self._laps.append(Lap(name, now - seconds, now, 0))

    def laps(self) -> list[Lap]:
        """The laps so far; another thread may still add to them."""
        return self._laps.copy()

    def seconds(self) -> dict[Stage, float]:
        """The time in each stage so far, without stages that did not run."""
        sums: dict[Stage, float] = {}
        for stage, start, end, _ in self._laps:
            sums[stage] = sums.get(stage, 0.0) + end - start
        return sums

    def timings(self) -> Timings:
        """The stages so far and the total, in milliseconds."""
        stages = {f"{name}_ms": seconds * 1e3 for name, seconds in self.seconds().items()}
        return Timings(total_ms=(time.monotonic() - self.start) * 1e3, **stages)
