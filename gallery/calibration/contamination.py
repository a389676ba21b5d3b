"""Tells nonmated searches from searches that found the person under another id, without knowing how many there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.extreme_values import ExtremeValueLaw, Values, first_guess, improved
from gallery.calibration.mates import Mates

_ROUNDS = 1000
_SEED = 0
_MAX_ROUNDS = 200
_CONVERGED = 1e-4
_SURELY_NONE = 1e-9
_PRIOR_SEARCHES = 1.0
"""How many searches the assumption weighs that few find a mate."""
_CERTAINLY_NONMATED = -1e3
"""The logarithm of the density of mates for a subject that was told apart."""
_OUTLIER_SHARE = 0.02
"""Share of mates that are more similar than the others, anywhere up to 1: pictures of one moment."""


@dataclass(frozen=True, slots=True)
class Separation:
    """What a mixture of nonmated searches and mates says.

    Attributes:
        law: of the best similarity of a nonmated search.
        covariance: of its parameters, shape ``(3, 3)``.
        mated: how likely the best other subject of each search is the same person, shape ``(n,)``, [0, 1].
        mates: how similar mates were taken to be.
    """

    law: ExtremeValueLaw
    covariance: Values
    mated: Values
    mates: Mates

    def interval(self, threshold: float) -> tuple[float, float]:
        """Return the 95 % interval of the FPIR at a threshold: that of laws drawn around the fitted one."""
        if not np.isfinite(self.covariance).all():
            return 0.0, 1.0
        rng = np.random.default_rng(_SEED)
        drawn = rng.multivariate_normal(self.law.parameters, self.covariance, size=_ROUNDS, method="eigh")
        low, high = np.percentile([ExtremeValueLaw.of(each).fpir(threshold) for each in drawn], [2.5, 97.5])
        return float(low), float(high)


def separate(
    best: Values,
    weights: Values,
    groups: NDArray[np.intp],
    mates: Mates = Mates(),  # noqa: B008 - it is immutable
    apart: NDArray[np.bool_] | None = None,
) -> Separation | None:
    """Fit nonmated searches and mates together, so that neither distorts the other.

    The best other subjects of a nonmated search follow the joint law of the largest of many values. If a person is
    enrolled under further ids, these come first, and the law holds for the rest. How many searches have none, one, two
    and so on is estimated with the law by expectation and maximisation (Dempster, Laird and Rubin 1977). How similar
    mates are is not: otherwise people who merely look alike would be taken for mates that are as similar as they. The
    runners-up show the nonmated law even where every best similarity is a mate's. The law is then fitted again to the
    best similarities alone, each as far as it is nonmated, because people differ in how similar they are to all others.

    Args:
        best: similarities of the best other subjects of each search, falling, shape ``(n, k)``, all compared.
        weights: how much each search counts, shape ``(n,)``; the sum is the number of people.
        groups: searches of a group are one observation, shape ``(n,)``.
        mates: how similar mates are; they lie above the nonmated searches at least.
        apart: which of the best were told apart from the subject, so that they are certainly nonmated, shape
            ``(n, k)``; ``None`` for none.

    Returns:
        The separation; ``None`` if the similarities do not vary.
    """
    count = best.shape[1]
    if np.median(np.abs(best[:, -1] - np.median(best[:, -1]))) <= 0:
        return None
    law = first_guess(best, weights)
    mates = mates.above_strangers(law.location)
    outliers = _OUTLIER_SHARE * (best > mates.mean) / max(1 - mates.mean, 1e-6)
    mate_logs = np.log((1 - _OUTLIER_SHARE) * mates.densities(best) + outliers + 1e-12)
    if apart is not None:
        mate_logs[apart] = _CERTAINLY_NONMATED
    first = np.concatenate([np.zeros((len(best), 1)), np.cumsum(mate_logs, axis=1)], axis=1)
    found = np.array([0.9, *(0.1 / count for _ in range(count))])
    rarely = np.array([_PRIOR_SEARCHES, *(0.0 for _ in range(count))])
    sure = np.empty((len(best), count + 1))
    for _ in range(_MAX_ROUNDS):
        logs = np.log(np.maximum(found, _SURELY_NONE)) + first + law.log_densities(best)
        sure = np.exp(logs - logs.max(axis=1, keepdims=True))
        sure /= sure.sum(axis=1, keepdims=True)
        counted = sure * weights[:, None]
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
    return Separation(law, covariance, 1 - sure[:, 0], mates)
