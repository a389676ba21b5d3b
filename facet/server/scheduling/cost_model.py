"""Estimates how long requests take, from requests that have finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import hypot

_GAIN, _DEVIATION_GAIN, _DEVIATIONS = 1 / 8, 1 / 4, 4
_MIN_MARGIN = 0.02
"""Seconds: covers the transport of the request and its answer, which the server does not see."""
_SPEED_CHANGE = 0.05
"""Share by which the machine may slow down, which delays everything in the queue together."""
_VALID_SECONDS = 10.0
"""Estimates expire: a wrong one must not keep refusing the very requests that would correct it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected duration, in seconds.

    Attributes:
        mean: mean duration.
        deviation: mean absolute deviation from it.
    """

    mean: float = 0.0
    deviation: float = 0.0

    @property
    def upper_bound(self) -> float:
        """Seconds that are hardly ever exceeded."""
        return self.mean + max(_MIN_MARGIN, _SPEED_CHANGE * self.mean, _DEVIATIONS * self.deviation)


def total(costs: Iterable[Cost]) -> Cost:
    """The cost of doing everything in sequence, if deviations are independent."""
    known = list(costs)
    return Cost(sum(each.mean for each in known), hypot(*(each.deviation for each in known)))


class CostModel:
    """Moving mean and mean deviation of the seconds a worker spends on each kind of request.

    Uses TCP's estimator of the round-trip time (Jacobson 1988, constants of RFC 6298).

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[Cost, float]] = {}

    def observe(self, kind: str, seconds: float) -> None:
        """Update the estimate with a finished request."""
        known = self.estimate(kind)
        if known == Cost():
            updated = Cost(seconds, seconds / 2)
        else:
            error = seconds - known.mean
            updated = Cost(
                known.mean + _GAIN * error, known.deviation + _DEVIATION_GAIN * (abs(error) - known.deviation)
            )
        self._known[kind] = (updated, self._clock())

    def estimate(self, kind: str) -> Cost:
        """The cost of one request; zero if no request of this kind finished in the last ten seconds."""
        cost, seen = self._known.get(kind, (Cost(), 0.0))
        return cost if self._clock() - seen < _VALID_SECONDS else Cost()
