"""Estimates how long requests take, from requests that have finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import hypot
from typing import NamedTuple, Self

_GAIN, _DEVIATION_GAIN, _DEVIATIONS = 1 / 8, 1 / 4, 4
_MIN_MARGIN = 0.02
"""Seconds: covers the transport of the request and its answer, which the server does not see."""
_SPEED_CHANGE = 0.05
"""Share by which the machine may slow down, which delays everything in the queue together."""
_VALID_SECONDS = 10.0
"""Estimates expire: a wrong one must not keep refusing the very requests that would correct it."""
_SMALLEST_BITS, _MAX_OCTAVE = 16, 15
"""Pictures of less than 2^16 pixels are one size; others are classed by powers of two, up to 2^31."""
_GROWTH = 2**0.5
"""Cost of a picture relative to one of half its pixels: decoding takes twice the time, inference about the same."""
_UNSURE = 1 / 4
"""Least deviation of a cost that is taken from another size, as a share of its mean."""
_MAX_CONTENTION = 1.5
_MEMORY = 0.99
"""Weight of older observations of contention, from one to the next."""


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

    def times(self, factor: float) -> Cost:
        """Multiply the cost."""
        return Cost(self.mean * factor, self.deviation * factor)


def total(costs: Iterable[Cost]) -> Cost:
    """The cost of doing everything in sequence, if deviations are independent."""
    known = list(costs)
    return Cost(sum(each.mean for each in known), hypot(*(each.deviation for each in known)))


class CostClass(NamedTuple):
    """Requests that cost about the same.

    Attributes:
        kind: the method and what else decides the cost.
        octave: size of the pictures, 0 to 15; one more for twice the pixels.
    """

    kind: str
    octave: int

    @classmethod
    def of(cls, kind: str, pixels: int) -> Self:
        """The class of a request for pictures of this many pixels; 0 for none."""
        return cls(kind, min(max(0, pixels.bit_length() - _SMALLEST_BITS), _MAX_OCTAVE))


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known about a class: its cost while ``others`` requests were running as well, and when it was seen."""

    cost: Cost
    others: float
    seen: float


class CostModel:
    """Moving mean and mean deviation of the seconds a worker spends on each class of requests.

    Uses TCP's estimator of the round-trip time (Jacobson 1988, constants of RFC 6298). A class of which no request
    finished in the last ten seconds takes the cost of the nearest size of its kind, scaled.

    Requests that run at the same time slow each other down: a request takes ``1 + contention * others`` times as long
    as alone (Gunther's universal scalability law without its quadratic term). Contention is learned by regression over
    all classes.

    Args:
        clock: monotonic seconds.
        others: requests that run beside each other one when all workers are busy; estimates are for that.
        contention: the contention to start from: 1 if requests run no faster side by side than one after the other, 0
            if they do not slow each other down.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, others: int = 0, contention: float = 0.0
    ) -> None:
        self._clock = clock
        self._others = others
        self._known: dict[CostClass, _Known] = {}
        # Sums of products and squares around the means; the start counts as one observation.
        self._products, self._squares = contention, 1.0

    @property
    def contention(self) -> float:
        """How much each other running request slows one down, as a share of its duration alone."""
        return min(max(0.0, self._products / self._squares), _MAX_CONTENTION)

    def observe(self, request: CostClass, seconds: float, others: float = 0.0) -> None:
        """Update the estimate with a finished request.

        Args:
            request: its class.
            seconds: how long it ran.
            others: mean number of other requests that ran meanwhile.
        """
        known = self._valid(request)
        if known is None:
            updated = _Known(Cost(seconds, seconds / 2), others, self._clock())
        else:
            mean, deviation = known.cost.mean, known.cost.deviation
            expected = mean * self._slowdown(others) / self._slowdown(known.others)
            self._learn_contention(known, seconds, others)
            updated = _Known(
                Cost(
                    mean + _GAIN * (seconds - mean),
                    deviation + _DEVIATION_GAIN * (abs(seconds - expected) - deviation),
                ),
                known.others + _GAIN * (others - known.others),
                self._clock(),
            )
        self._known[request] = updated

    def estimate(self, request: CostClass) -> Cost:
        """The cost of one request while all workers are busy; zero if no size of its kind is known."""
        known = self._valid(request)
        if known is not None:
            return self._when_busy(known)
        sizes = [each for each in self._known if each.kind == request.kind and self._valid(each) is not None]
        if not sizes:
            return Cost()
        nearest = min(sizes, key=lambda each: (abs(each.octave - request.octave), each.octave))
        scaled = self._when_busy(self._known[nearest]).times(_GROWTH ** (request.octave - nearest.octave))
        return Cost(scaled.mean, max(scaled.deviation, _UNSURE * scaled.mean))

    def _valid(self, request: CostClass) -> _Known | None:
        known = self._known.get(request)
        return known if known is not None and self._clock() - known.seen < _VALID_SECONDS else None

    def _when_busy(self, known: _Known) -> Cost:
        return known.cost.times(self._slowdown(self._others) / self._slowdown(known.others))

    def _slowdown(self, others: float) -> float:
        return 1 + self.contention * others

    def _learn_contention(self, known: _Known, seconds: float, others: float) -> None:
        alone = known.cost.mean / self._slowdown(known.others)
        if alone > 0:
            more = others - known.others
            self._products = _MEMORY * self._products + more * (seconds - known.cost.mean) / alone
            self._squares = _MEMORY * self._squares + more * more
