"""Tells nonmated searches from searches that found the person under another id, without knowing how many there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.extreme_values import ExtremeValueLaw, Values, first_guess, improved

_ROUNDS = 1000
_SEED = 0
_MAX_ROUNDS = 200
_CONVERGED = 1e-4
_SURELY_NONE = 1e-9
_PRIOR_SEARCHES = 1.0
"""How many searches the assumption weighs that few find a mate."""
_PRIOR_MATES = 20.0
"""How many mates the first guess of their distribution weighs."""
_OUTLIER_SHARE = 0.02
"""Share of mates that are anywhere between the nonmated searches and 1, and not where most mates are."""
_MATE_SPREAD = 5.0
"""The first guess: mates lie halfway between nonmated searches and 1; the distance is this many of their deviations."""


@dataclass(frozen=True, slots=True)
class Separation:
    """What a mixture of nonmated searches and mates says.

    Attributes:
        law: of the best similarity of a nonmated search.
        covariance: of its parameters, shape ``(3, 3)``.
        mated: how likely the best other subject of each search is the same person, shape ``(n,)``, [0, 1].
    """

    law: ExtremeValueLaw
    covariance: Values
    mated: Values

    def interval(self, threshold: float) -> tuple[float, float]:
        """Return the 95 % interval of the FPIR at a threshold: that of laws drawn around the fitted one."""
        rng = np.random.default_rng(_SEED)
        drawn = rng.multivariate_normal(self.law.parameters, self.covariance, size=_ROUNDS, method="cholesky")
        low, high = np.percentile([ExtremeValueLaw.of(each).fpir(threshold) for each in drawn], [2.5, 97.5])
        return float(low), float(high)


def separate(best: Values, weights: Values, groups: NDArray[np.intp]) -> Separation | None:
    """Fit nonmated searches and mates together, so that neither distorts the other.

    The best other subjects of a nonmated search follow the joint law of the largest of many values. If a person is
    enrolled under further ids, these come first, and the law holds for the rest. How many searches have none, one, two
    and so on is estimated with the law and the distribution of the mates' similarities (normal, with a share anywhere
    above the nonmated ones, as in Tukey 1960) by expectation and maximisation (Dempster, Laird and Rubin 1977). The
    runners-up show the nonmated law even where every best similarity is a mate's. The law is then fitted again to the
    best similarities alone, each as far as it is nonmated, because people differ in how similar they are to all others.

    Args:
        best: similarities of the best other subjects of each search, falling, shape ``(n, k)``, all compared.
        weights: how much each search counts, shape ``(n,)``; the sum is the number of people.
        groups: searches of a group are one observation, shape ``(n,)``.

    Returns:
        The separation; ``None`` if the similarities do not vary.
    """
    count = best.shape[1]
    if np.median(np.abs(best[:, -1] - np.median(best[:, -1]))) <= 0:
        return None
    law = first_guess(best, weights)
    mate_mean, mate_deviation = (1 + law.location) / 2, (1 - law.location) / _MATE_SPREAD
    prior_mean, prior_deviation = mate_mean, mate_deviation
    found = np.array([0.9, *(0.1 / count for _ in range(count))])
    rarely = np.array([_PRIOR_SEARCHES, *(0.0 for _ in range(count))])
    sure = np.empty((len(best), count + 1))
    for _ in range(_MAX_ROUNDS):
        normal = np.exp(-0.5 * ((best - mate_mean) / mate_deviation) ** 2) / (mate_deviation * np.sqrt(2 * np.pi))
        anywhere = (best > law.location) / max(1 - law.location, 1e-6)
        mates = np.log((1 - _OUTLIER_SHARE) * normal + _OUTLIER_SHARE * anywhere + 1e-12)
        first = np.concatenate([np.zeros((len(best), 1)), np.cumsum(mates, axis=1)], axis=1)
        logs = np.log(np.maximum(found, _SURELY_NONE)) + first + law.log_densities(best)
        sure = np.exp(logs - logs.max(axis=1, keepdims=True))
        sure /= sure.sum(axis=1, keepdims=True)
        counted = sure * weights[:, None]
        is_mate = np.cumsum(counted[:, :0:-1], axis=1)[:, ::-1]
        total = is_mate.sum() + _PRIOR_MATES
        mate_mean = (float((is_mate * best).sum()) + _PRIOR_MATES * prior_mean) / total
        spread = float((is_mate * (best - mate_mean) ** 2).sum()) + _PRIOR_MATES * prior_deviation**2
        mate_deviation = np.sqrt(spread / total)
        now_found = (counted.sum(axis=0) + rarely) / (weights.sum() + rarely.sum())
        better, _ = improved(law, best, counted[:, :-1])
        change = np.abs(better.parameters - law.parameters) / np.array([law.scale, 1, 1])
        moved = max(float(change.max()), float(np.abs(now_found - found).max()))
        law, found = better, now_found
        if moved < _CONVERGED:
            break
    alone, clean = best[:, :1], (weights * sure[:, 0])[:, None]
    covariance = np.zeros((3, 3))
    for _ in range(_MAX_ROUNDS):
        better, covariance = improved(law, alone, clean, groups)
        moved = float((np.abs(better.parameters - law.parameters) / np.array([law.scale, 1, 1])).max())
        law = better
        if moved < _CONVERGED:
            break
    return Separation(law, covariance, 1 - sure[:, 0])
