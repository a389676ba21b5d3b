"""Two ways to do the same, timed in turns: what the second costs more than the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.timing import milliseconds


@dataclass(frozen=True, slots=True)
class Pairs:
    """Durations of two calls that took turns.

    Attributes:
        plain_ms: of the one, in milliseconds, shape ``(n,)``.
        guarded_ms: of the other, in the same order.
    """

    plain_ms: NDArray[np.float64]
    guarded_ms: NDArray[np.float64]

    @property
    def added_ms(self) -> float:
        """Median of what the second took more than the first of the same round, in milliseconds."""
        return round(float(np.median(self.guarded_ms - self.plain_ms)), 3)

    @property
    def ratio(self) -> float:
        """Median of the second over that of the first."""
        return round(float(np.median(self.guarded_ms) / np.median(self.plain_ms)), 3)


def take_turns(plain: Callable[[], object], guarded: Callable[[], object], rounds: int) -> Pairs:
    """Time two calls in turns, after one of each to warm up. Every second round begins with the other one.

    Args:
        plain: the one call.
        guarded: the other call.
        rounds: how often each is timed.
    """
    plain()
    guarded()
    times = np.empty((rounds, 2))
    for at in range(rounds):
        order = ((0, plain), (1, guarded)) if at % 2 == 0 else ((1, guarded), (0, plain))
        for column, call in order:
            times[at, column] = milliseconds(call)
    return Pairs(times[:, 0], times[:, 1])
