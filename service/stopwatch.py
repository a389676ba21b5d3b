"""The milliseconds of a request, by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from facet.v1.types_pb2 import Timings

Stage = Literal["decode", "queue", "detect", "faces", "align", "embed", "search"]


class Stopwatch:
    """Runs from when it is made; a stage entered twice adds up."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - start)

    def add(self, name: Stage, seconds: float) -> None:
        """Count time that was measured elsewhere."""
        self._stages[name] = self._stages.get(name, 0.0) + seconds

    def timings(self) -> Timings:
        """The stages so far, and the total until now."""
        stages = {f"{name}_ms": seconds * 1e3 for name, seconds in self._stages.items()}
        return Timings(total_ms=(time.monotonic() - self._start) * 1e3, **stages)
