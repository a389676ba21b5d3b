"""The milliseconds of a request, by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from facet.v1.types_pb2 import Timings

Stage = Literal["decode", "queue", "detect", "faces", "align", "embed", "search", "store"]
STAGES: tuple[Stage, ...] = ("decode", "queue", "detect", "faces", "align", "embed", "search", "store")
"""In the order in which a table shows them."""


class Lap(NamedTuple):
    """One passage through a stage, on the clock of :func:`time.monotonic`, seconds.

    Attributes:
        stage: which.
        start: when it was entered.
        end: when it was left.
        batch: how many things a model was given at once; 0 where that is not counted.
    """

    stage: Stage
    start: float
    end: float
    batch: int


class Stopwatch:
    """Runs from when it is made; a stage entered twice adds up.

    Attributes:
        start: when it was made, on the clock of :func:`time.monotonic`.
    """

    def __init__(self) -> None:
        self.start = time.monotonic()
        self._laps: list[Lap] = []

    @contextmanager
    def stage(self, name: Stage, *, batch: int = 0) -> Iterator[None]:
        """Time a stage, and note how many things a model is given at once."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._laps.append(Lap(name, start, time.monotonic(), batch))

    def add(self, name: Stage, seconds: float) -> None:
        """Count time that was measured elsewhere, and has just ended."""
        now = time.monotonic()
        self._laps.append(Lap(name, now - seconds, now, 0))

    def laps(self) -> list[Lap]:
        """What was timed so far; what is under way on another thread may still come."""
        return self._laps.copy()

    def seconds(self) -> dict[Stage, float]:
        """The time so far in each stage that was entered."""
        sums: dict[Stage, float] = {}
        for stage, start, end, _ in self._laps:
            sums[stage] = sums.get(stage, 0.0) + end - start
        return sums

    def timings(self) -> Timings:
        """The stages so far, and the total until now."""
        stages = {f"{name}_ms": seconds * 1e3 for name, seconds in self.seconds().items()}
        return Timings(total_ms=(time.monotonic() - self.start) * 1e3, **stages)
