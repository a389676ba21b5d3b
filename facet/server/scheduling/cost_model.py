"""What requests cost, learnt from those that came before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import hypot

_GAIN, _DEVIATION_GAIN, _DEVIATIONS = 1 / 8, 1 / 4, 4
_LEAST_MARGIN = 0.02
"""Seconds: room for the way of the request and of its answer, which the server does not see."""
_PACE = 0.05
"""Share by which a machine's pace may change, which makes all that waits take longer alike."""
_MEMORY_SECONDS = 10.0
"""What was not seen for so long is not known any more: a wrong estimate must not keep out what would correct it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something is expected to take, in seconds.

    Attributes:
        mean: in the mean.
        deviation: mean deviation from it.
    """

    mean: float = 0.0
    deviation: float = 0.0

    @property
    def most(self) -> float:
        """The seconds that it hardly ever takes longer than."""
        return self.mean + max(_LEAST_MARGIN, _PACE * self.mean, _DEVIATIONS * self.deviation)


def total(costs: Iterable[Cost]) -> Cost:
    """What it takes to do all of it; what takes longer than expected does so independently of the others."""
    known = list(costs)
    return Cost(sum(each.mean for each in known), hypot(*(each.deviation for each in known)))


class Costs:
    """Seconds of a worker by kind of request: a moving mean and mean deviation.

    They are kept as TCP keeps the round-trip time for its retransmission timer (Jacobson 1988, figures of RFC 6298).

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[Cost, float]] = {}

    def observe(self, kind: str, seconds: float) -> None:
        """Learn from a request that ran so long."""
        known = self.of(kind)
        if known == Cost():
            learnt = Cost(seconds, seconds / 2)
        else:
            error = seconds - known.mean
            learnt = Cost(
                known.mean + _GAIN * error, known.deviation + _DEVIATION_GAIN * (abs(error) - known.deviation)
            )
        self._known[kind] = (learnt, self._clock())

    def of(self, kind: str) -> Cost:
        """What a request of a kind takes; nothing where nothing is known."""
        cost, seen = self._known.get(kind, (Cost(), 0.0))
        return cost if self._clock() - seen < _MEMORY_SECONDS else Cost()
