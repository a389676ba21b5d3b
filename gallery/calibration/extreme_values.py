"""The law of the best similarities of a search among many other people: the largest of many values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

EXTREME_VALUES = "generalised extreme value"
"""Name of the model that an FPIR is estimated with."""

_GUMBEL_SHAPE = 1e-6
"""A shape nearer to 0 than this is taken to be 0."""
_LOG_LIMIT = 500.0
_SHAPE_LIMIT = 0.5
_SHAPE_MEAN, _SHAPE_DEVIATION = -0.05, 0.03
"""What is known of the shape beforehand. The largest of N normal values has a shape near ``-1 / (2 ln N)``: -0.11 for
100 people, -0.07 for 1000, -0.05 for 20,000 (Fisher and Tippett 1928). Relatives and look-alikes make it larger, so the
mean is at the upper end, which errs on the safe side. Thousands of searches overrule it."""
_STEP = 1e-4
_MIN_SCALE = 1e-6


@dataclass(frozen=True, slots=True)
class ExtremeValueLaw:
    """A generalised extreme value distribution (Jenkinson 1955) and the joint law of the largest values.

    Attributes:
        location: near the most frequent best similarity.
        scale: above 0.
        shape: negative if similarities have an upper limit.
    """

    location: float
    scale: float
    shape: float

    def fpir(self, similarity: float) -> float:
        """Return the share of searches whose best similarity is at least this."""
        return float(self.survival(np.array([similarity]))[0])

    def survival(self, similarities: Values) -> Values:
        """Return :meth:`fpir` of each similarity."""
        return np.asarray(-np.expm1(-np.exp(np.minimum(-self._logarithm(similarities), _LOG_LIMIT))))

    def quantile(self, survival: float) -> float:
        """Return the similarity that a share of the searches reaches; the share lies between 0 and 1."""
        rate = -math.log1p(-survival)
        if abs(self.shape) < _GUMBEL_SHAPE:
            return self.location - self.scale * math.log(rate)
        return self.location + self.scale * math.expm1(-self.shape * math.log(rate)) / self.shape

    def log_densities(self, best: Values) -> Values:
        """Return the log density of the values of each search after leaving out the first ones.

        The joint density of the largest values of many is that of Weissman (1978).

        Args:
            best: the largest values of each search, falling, shape ``(n, k)``.

        Returns:
            Shape ``(n, k + 1)``: column ``c`` is the density of the values from ``c`` on, as if they were the largest;
            the last column, for no value, is 0.
        """
        logs = self._logarithm(best)
        each = -logs * (1 + self.shape) - math.log(self.scale)
        rest = -np.exp(np.minimum(-logs[:, -1], _LOG_LIMIT))
        after = np.cumsum(each[:, ::-1], axis=1)[:, ::-1] + rest[:, None]
        return np.concatenate([after, np.zeros((len(best), 1))], axis=1)

    def _logarithm(self, values: Values) -> Values:
        """Return minus the logarithm of the expected number of others above each value."""
        standard = (values - self.location) / self.scale
        if abs(self.shape) < _GUMBEL_SHAPE:
            return standard
        return np.asarray(np.log(np.maximum(1 + self.shape * standard, 1e-9)) / self.shape)

    def threshold(self, fpir: float) -> float:
        """Return the lowest float32 threshold in [-1, 1] with at most this FPIR; 1 if there is none."""
        wanted = self.quantile(min(max(fpir, 1e-15), 1 - 1e-9))
        value = np.float32(min(max(wanted, -1.0), 1.0))
        return float(value if value >= min(wanted, 1.0) else np.nextafter(value, np.float32(2)))

    def model(self, threshold: float) -> str:
        """Return the name of the model that the FPIR at a threshold is estimated with."""
        del threshold
        return EXTREME_VALUES

    @property
    def parameters(self) -> Values:
        """Location, logarithm of the scale, and shape; shape ``(3,)``."""
        return np.array([self.location, math.log(self.scale), self.shape])

    @classmethod
    def of(cls, parameters: Values) -> ExtremeValueLaw:
        """Make a law of :attr:`parameters`."""
        location, log_scale, shape = parameters.tolist()
        limited = min(max(shape, -_SHAPE_LIMIT), _SHAPE_LIMIT)
        return cls(location, max(math.exp(min(log_scale, 10.0)), _MIN_SCALE), limited)


def first_guess(best: Values, weights: Values) -> ExtremeValueLaw:
    """Guess a law from the lower half of the lowest column, which people enrolled twice hardly reach."""
    lowest = best[:, -1]
    order = np.argsort(lowest, kind="stable")
    shares = np.cumsum(weights[order]) / weights.sum()
    low, middle = (float(lowest[order][np.searchsorted(shares, share)]) for share in (0.1, 0.45))
    return ExtremeValueLaw(middle, max((middle - low) / 1.1, 1e-4), _SHAPE_MEAN)


def improved(
    law: ExtremeValueLaw, best: Values, weights: Values, groups: NDArray[np.intp] | None = None
) -> tuple[ExtremeValueLaw, Values]:
    """Take one step towards the most likely law, given how surely each value is a nonmated one.

    A step of Berndt, Hall, Hall and Hausman (1974) with halving. The shape is penalised (Coles and Dixon 1999).

    Args:
        law: the law so far.
        best: see :meth:`ExtremeValueLaw.log_densities`, shape ``(n, k)``.
        weights: shape ``(n, k)``: how much each search counts with its values from each column on.
        groups: the group of each search; the searches of a group are one observation. ``None`` for none.

    Returns:
        The better law, and the covariance of its :attr:`ExtremeValueLaw.parameters`, shape ``(3, 3)``, clustered by
        group (Liang and Zeger 1986).
    """

    def likelihood(parameters: Values) -> tuple[Values, float]:
        rows = (weights * ExtremeValueLaw.of(parameters).log_densities(best)[:, :-1]).sum(axis=1)
        return rows, float(rows.sum()) - 0.5 * float((parameters[2] - _SHAPE_MEAN) / _SHAPE_DEVIATION) ** 2

    start = law.parameters
    steps = np.diag([_STEP * law.scale, _STEP, _STEP])
    scores = np.stack(
        [(likelihood(start + step)[0] - likelihood(start - step)[0]) / (2 * step.sum()) for step in steps], axis=1
    )
    penalty = np.array([0.0, 0.0, (_SHAPE_MEAN - start[2]) / _SHAPE_DEVIATION**2])
    share = np.maximum(weights.sum(axis=1), 1e-12)[:, None]
    information = (scores / share).T @ scores + np.diag([0.0, 0.0, _SHAPE_DEVIATION**-2])
    information += 1e-9 * np.trace(information) * np.eye(3)
    inverse = np.linalg.inv(information)
    if groups is not None:
        scores = np.stack([np.bincount(groups, weights=column) for column in scores.T], axis=1)
    covariance = inverse @ (scores.T @ scores + np.diag([0.0, 0.0, _SHAPE_DEVIATION**-2])) @ inverse
    direction = inverse @ (scores.sum(axis=0) + penalty)
    before = likelihood(start)[1]
    for halving in range(12):
        wanted = start + direction / 2**halving
        if likelihood(wanted)[1] >= before:
            return ExtremeValueLaw.of(wanted), covariance
    return law, covariance
