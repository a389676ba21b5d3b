"""Percentiles of ages, of all and of the last minute, in bounded memory."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_RECENT_SECONDS = 60.0
_MAX_RECENT = 6_000
_MAX_SAMPLE = 10_000


@dataclass(frozen=True, slots=True)
class AgePercentiles:
    """Percentiles of ages, seconds."""

    p50: float
    p95: float


class AgeStatistics:
    """Collects ages.

    The percentiles of all ages come from a uniform random sample of 10,000 (reservoir sampling: Vitter, 1985), so they
    are exact until there are more. Those of the last minute come from at most the newest 6,000.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._random = random.Random(0)  # noqa: S311 - a sample needs no secrecy
        self._count = 0
        self._sample: list[float] = []
        self._recent: deque[tuple[float, float]] = deque(maxlen=_MAX_RECENT)

    def add(self, seconds: float) -> None:
        """Add an age."""
        self._recent.append((self._clock(), seconds))
        self._count += 1
        if len(self._sample) < _MAX_SAMPLE:
            self._sample.append(seconds)
        elif (place := self._random.randrange(self._count)) < _MAX_SAMPLE:
            self._sample[place] = seconds

    def overall(self) -> AgePercentiles | None:
        """Percentiles of all ages; ``None`` without any."""
        return _percentiles(self._sample)

    def last_minute(self) -> AgePercentiles | None:
        """Percentiles of the ages of the last minute; ``None`` without any."""
        oldest = self._clock() - _RECENT_SECONDS
        while self._recent and self._recent[0][0] < oldest:
            self._recent.popleft()
        return _percentiles([seconds for _, seconds in self._recent])


def _percentiles(ages: list[float]) -> AgePercentiles | None:
    if not ages:
        return None
    p50, p95 = np.percentile(ages, [50, 95])
    return AgePercentiles(float(p50), float(p95))
