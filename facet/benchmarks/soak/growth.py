"""Whether figures that were read again and again stay flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_PART = 5
"""Growth is that from the first to the last fifth of the readings."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How a figure changed after the warm-up.

    Attributes:
        start: median of the first fifth of the readings.
        end: median of the last fifth.
        per_1000: slope of the line of least squares, for each thousand steps.
    """

    start: float
    end: float
    per_1000: float

    @property
    def total(self) -> float:
        """``end`` minus ``start``."""
        return round(self.end - self.start, 1)


def growth(steps: Sequence[float], values: Sequence[float]) -> Growth:
    """How a figure changed. Medians keep a single high reading from counting as growth.

    Args:
        steps: number of requests before each reading, rising.
        values: the readings, as many; at least one.
    """
    part = max(1, len(values) // _PART)
    slope = float(np.polyfit(steps, values, 1)[0]) if len(values) > 1 else 0.0
    return Growth(
        start=round(float(np.median(values[:part])), 1),
        end=round(float(np.median(values[-part:])), 1),
        per_1000=round(1000 * slope, 3),
    )
