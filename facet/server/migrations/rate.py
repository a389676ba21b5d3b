"""How fast embeddings are made."""

from __future__ import annotations

import time
from collections.abc import Callable

_WINDOW_SECONDS = 60.0


class Rate:
    """How often something happened per second of the last minute. One thread notes; any may read.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: tuple[tuple[float, int, float], ...] = ()

    def note(self, count: int, seconds: float) -> None:
        """Note that something has happened so often, in this time until now."""
        now = self._clock()
        recent = tuple(each for each in self._counts if each[0] >= now - _WINDOW_SECONDS)
        self._counts = (*recent, (now, count, seconds))

    def per_second(self) -> float:
        """Return the rate; 0 if nothing happened in the last minute."""
        now = self._clock()
        counts = [each for each in self._counts if each[0] >= now - _WINDOW_SECONDS]
        if not counts:
            return 0.0
        begun = min(moment - seconds for moment, _, seconds in counts)
        return sum(count for _, count, _ in counts) / max(now - begun, 1e-3)
