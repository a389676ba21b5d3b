"""How fast embeddings are made."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 60.0


class Rate:
    """How often something happened per second of the last minute.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: deque[tuple[float, int, float]] = deque()

    def note(self, count: int, seconds: float) -> None:
        """Note that something has happened so often, in this time until now."""
        self._counts.append((self._clock(), count, seconds))
        self._forget()

    def per_second(self) -> float:
        """Return the rate; 0 if nothing happened in the last minute."""
        self._forget()
        counts = tuple(self._counts)
        if not counts:
            return 0.0
        begun = min(moment - seconds for moment, _, seconds in counts)
        return sum(count for _, count, _ in counts) / max(self._clock() - begun, 1e-3)

    def _forget(self) -> None:
        while self._counts and self._counts[0][0] < self._clock() - _WINDOW_SECONDS:
            self._counts.popleft()
