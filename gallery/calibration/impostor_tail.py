"""The distribution of the best similarity of nonmated searches, above all its upper tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EMPIRICAL = "empirical"
PARETO = "generalised Pareto"
"""Names of the models that an FPIR is estimated with."""

_TAIL_SHARE = 0.1
_MIN_TAIL = 50
_MAX_TAIL = 500
_MAX_TAIL_SHARE = 0.2
_RELATIVE_TOLERANCE = 1e-6
"""An FPIR that exceeds the wanted one by less than this is taken for equal."""
_EXPONENTIAL_SHAPE = 1e-6
"""A shape nearer to 0 than this is taken to be 0."""


@dataclass(frozen=True, slots=True)
class ImpostorTail:
    """The share of nonmated searches whose best similarity reaches a threshold: the FPIR at that threshold.

    Up to ``start`` searches are counted. Above it, the excesses over ``start`` follow a generalised Pareto
    distribution, as those of most distributions do above a high enough start (Pickands 1975, Balkema and de Haan 1974).

    Attributes:
        similarities: float64, shape ``(m,)``, falling: the best similarities of the searches, without suspects.
        suspects: float64, shape ``(k,)``: similarities that are counted, but that the tail is not fitted to.
        start: where the tail begins.
        share: the share of ``similarities`` above ``start``.
        shape: of the excesses; negative if they have an upper limit.
        scale: of the excesses, above 0; 0 if there is no tail because all similarities are equal.
    """

    similarities: NDArray[np.float64]
    suspects: NDArray[np.float64]
    start: float
    share: float
    shape: float
    scale: float

    def fpir(self, threshold: float) -> float:
        """Return the share of searches whose best similarity is at least a threshold."""
        if threshold <= self.start or not self.scale:
            share = float(np.count_nonzero(self.similarities >= threshold)) / len(self.similarities)
        else:
            share = self.share * pareto_survival(threshold - self.start, self.shape, self.scale)
        total = len(self.similarities) + len(self.suspects)
        return (share * len(self.similarities) + float(np.count_nonzero(self.suspects >= threshold))) / total

    def threshold(self, fpir: float) -> float:
        """Return the lowest float32 threshold in [-1, 1] with at most this FPIR; 1 if there is none."""
        low, high = -1.0, 1.0
        fpir *= 1 + _RELATIVE_TOLERANCE
        if self.fpir(low) <= fpir:
            return low
        while high - low > 1e-9:
            middle = (low + high) / 2
            low, high = (low, middle) if self.fpir(middle) <= fpir else (middle, high)
        value = np.float32(high)
        return float(value) if float(value) >= high else float(np.nextafter(value, np.float32(2)))

    def model(self, threshold: float) -> str:
        """Return the name of the model that the FPIR at a threshold is estimated with."""
        return PARETO if threshold > self.start and self.scale else EMPIRICAL


def fit(similarities: NDArray[np.float64], suspects: NDArray[np.float64] | None = None) -> ImpostorTail:
    """Fit the tail by probability-weighted moments (Hosking and Wallis 1987).

    The tail is the highest tenth of the searches: at least 50 if that is no more than a fifth of them, and at most 500,
    because with more the counted share is just as good. At such sizes, moments are better than maximum likelihood, and
    have a closed form.

    Args:
        similarities: the best similarity of every search, shape ``(m,)``, at least one.
        suspects: see :class:`ImpostorTail`.
    """
    falling = np.sort(similarities)[::-1]
    suspects = np.empty(0) if suspects is None else suspects
    count = len(falling)
    size = min(max(round(_TAIL_SHARE * count), min(_MIN_TAIL, round(_MAX_TAIL_SHARE * count))), _MAX_TAIL)
    if not 2 <= size < count or falling[size] <= -1:
        return ImpostorTail(falling, suspects, float(falling[0]), 0.0, 0.0, 0.0)
    start = float(falling[size - 1] + falling[size]) / 2
    excesses = falling[:size] - start
    shape, scale = pareto_moments(excesses, np.ones(size))
    return ImpostorTail(falling, suspects, start, size / count, shape, scale)


def pareto_moments(excesses: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Estimate shape and scale of a generalised Pareto distribution; (0, 0) if the weights are all zero.

    Args:
        excesses: shape ``(k,)``, falling, none negative.
        weights: shape ``(k,)``, how often each counts.
    """
    total = weights.sum()
    if not total:
        return 0.0, 0.0
    # The estimated probability of being exceeded, with the plotting position (j - 0.35) / n.
    exceeded = (np.cumsum(weights) - (weights - 1) / 2 - 0.65) / total
    first = float((weights * excesses).sum() / total)
    second = float((weights * excesses * np.clip(exceeded, 0, 1)).sum() / total)
    spread = first - 2 * second
    if first <= 0 or spread <= 1e-9 * first:
        return 0.0, first
    return 2 - first / spread, 2 * first * second / spread


def pareto_survival(excess: float, shape: float, scale: float) -> float:
    """Return the probability that an excess of a generalised Pareto distribution is at least this."""
    if not scale:
        return 1.0 if excess <= 0 else 0.0
    if abs(shape) < _EXPONENTIAL_SHAPE:
        return math.exp(-excess / scale)
    base = 1 + shape * excess / scale
    return base ** (-1 / shape) if base > 0 else 0.0
