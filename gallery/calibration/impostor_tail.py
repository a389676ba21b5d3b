"""How often strangers come close: the distribution of the best similarity of searches for people who are not there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EMPIRICAL = "empirical"
PARETO = "generalised Pareto"
"""Names of the models that a share of searches comes from."""

_TAIL_SHARE = 0.1
_TAIL_LEAST = 50
_TAIL_MOST = 500
_TAIL_LARGEST_SHARE = 0.2
_ROUNDING = 1e-6
"""What a share may be over another one and still be taken for it."""
_EXPONENTIAL = 1e-6
"""A shape nearer to 0 than this is taken to be 0."""

_CORE_SHARE = 0.2
_CENSORED_SHARE = 0.5
_BY_CHANCE = 0.25


@dataclass(frozen=True, slots=True)
class Tail:
    """The share of searches whose best similarity reaches a value.

    Up to ``start`` it is counted. Above, the excesses over it follow a generalised Pareto distribution, as those of
    most distributions do over a high enough start (Pickands 1975, Balkema and de Haan 1974).

    Attributes:
        searched: float64, shape ``(m,)``, falling: the best similarities, but for those in ``set_apart``.
        set_apart: float64, shape ``(k,)``: searches that count as they are, and say nothing of the others.
        start: where the tail begins.
        share: of ``searched`` that is above it.
        shape: of the excesses, negative where they have an upper end.
        scale: of the excesses, above 0; 0 where there is no tail, because all are equal.
    """

    searched: NDArray[np.float64]
    set_apart: NDArray[np.float64]
    start: float
    share: float
    shape: float
    scale: float

    def reached(self, similarity: float) -> float:
        """The share of searches whose best similarity is at least this."""
        if similarity <= self.start or not self.scale:
            share = float(np.count_nonzero(self.searched >= similarity)) / len(self.searched)
        else:
            share = self.share * pareto(similarity - self.start, self.shape, self.scale)
        total = len(self.searched) + len(self.set_apart)
        return (share * len(self.searched) + float(np.count_nonzero(self.set_apart >= similarity))) / total

    def threshold(self, share: float) -> float:
        """The lowest float32 value in [-1, 1] that at most this share of searches reaches; 1 where more reach 1."""
        low, high = -1.0, 1.0
        share *= 1 + _ROUNDING
        if self.reached(low) <= share:
            return low
        while high - low > 1e-9:
            middle = (low + high) / 2
            low, high = (low, middle) if self.reached(middle) <= share else (middle, high)
        value = np.float32(high)
        return float(value) if float(value) >= high else float(np.nextafter(value, np.float32(2)))

    def model(self, similarity: float) -> str:
        """What the share at a similarity comes from."""
        return PARETO if similarity > self.start and self.scale else EMPIRICAL


def fit(best: NDArray[np.float64], set_apart: NDArray[np.float64] | None = None) -> Tail:
    """Estimate the tail from searches, by probability-weighted moments (Hosking and Wallis 1987).

    The tail is the highest tenth of the searches: at least 50 of them, where that is no more than a fifth, and at most
    500, because of more the counted share is as good. Moments beat the likelihood at such sizes, and are a closed form.

    Args:
        best: the best similarity of every search, shape ``(m,)``, at least one.
        set_apart: see :class:`Tail`.
    """
    falling = np.sort(best)[::-1]
    count = len(falling)
    size = min(max(round(_TAIL_SHARE * count), min(_TAIL_LEAST, round(_TAIL_LARGEST_SHARE * count))), _TAIL_MOST)
    none = np.empty(0)
    if not 2 <= size < count or falling[size] <= -1:
        return Tail(falling, none if set_apart is None else set_apart, float(falling[0]), 0.0, 0.0, 0.0)
    start = float(falling[size - 1] + falling[size]) / 2
    excesses = falling[:size] - start
    shape, scale = moments(excesses, np.ones(size))
    return Tail(falling, none if set_apart is None else set_apart, start, size / count, shape, scale)


def moments(excesses: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution by probability-weighted moments; (0, 0) without a spread.

    Args:
        excesses: shape ``(k,)``, falling, none negative.
        weights: shape ``(k,)``, how often each counts.
    """
    total = weights.sum()
    if not total:
        return 0.0, 0.0
    # The estimated chance to be exceeded, with the plotting position (j - 0.35) / n.
    exceeded = (np.cumsum(weights) - (weights - 1) / 2 - 0.65) / total
    first = float((weights * excesses).sum() / total)
    second = float((weights * excesses * np.clip(exceeded, 0, 1)).sum() / total)
    spread = first - 2 * second
    if first <= 0 or spread <= 1e-9 * first:
        return 0.0, first
    return 2 - first / spread, 2 * first * second / spread


def pareto(excess: float, shape: float, scale: float) -> float:
    """The chance that an excess of a generalised Pareto distribution is at least this."""
    if not scale:
        return 1.0 if excess <= 0 else 0.0
    if abs(shape) < _EXPONENTIAL:
        return math.exp(-excess / scale)
    base = 1 + shape * excess / scale
    return base ** (-1 / shape) if base > 0 else 0.0


def implausible(best: NDArray[np.float64], *, alike: int = 1) -> float:
    """From where on a best similarity is hardly a stranger's.

    The highest fifth of searches is taken to fall off exponentially, which is slower than the best of many normal
    similarities does; how fast is taken from its lower half, with the upper half censored, so that people who are in
    the gallery after all do not blur what they are to be told from. Beyond the answer at most a quarter of a search is
    to be expected, were all of strangers.

    Args:
        best: the best similarity of every search, shape ``(m,)``.
        alike: in groups of how many such searches come, as two do where each is the other's best.
    """
    falling = np.sort(best)[::-1]
    size = round(_CORE_SHARE * len(falling))
    kept = round((1 - _CENSORED_SHARE) * size)
    if kept < 2 or falling[size] <= -1:
        return math.inf
    start = float(falling[size])
    excesses = falling[:size] - start
    below, limit = excesses[size - kept :], float(excesses[size - kept])
    scale = float(below.sum() + (size - kept) * limit) / kept
    return start + scale * math.log(size / alike / _BY_CHANCE)
