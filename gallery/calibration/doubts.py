"""Whether the searches can be explained by mates and by the law of nonmated searches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.contamination import Separation
from gallery.calibration.mates import Mates

MAX_UNEXPLAINED = 1.5
"""How many times the FPIR of the law the share of searches may be that neither the law nor mates explain."""

MAX_DISTANCE = 0.002
"""How far the nonmated searches may lie from the law even if that is no chance; see :func:`is_mixed`."""

_CHANCE_DISTANCE = 2.0
"""Divided by the number of people, the distance of searches that follow one law is hardly ever larger: the largest of
some 200 simulated galleries is 1.1."""
_LEAST_SHARE = 1e-3
"""Shares of searches below this weigh the same in the distance."""
_HARD_SHARE = 0.02
"""The share of mates that may be less similar than their distribution says: children, beards, poor pictures."""
_LEAST_SIMILAR = (-1.5, -1.0, -0.5, 0.0)
"""Where surely similar mates begin, in deviations from their mean."""
_DEVIATIONS = 1.5
"""So many standard deviations must lie between what is seen and what is allowed."""
_SEARCHES_OF_A_PAIR = 2.0
"""Two people who are each other's best are two searches, but one observation."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best other subjects of the searches.

    Attributes:
        similarity: shape ``(n,)``.
        weights: how much each search counts, shape ``(n,)``; the sum is the number of people.
        apart: whether the two were told apart, so that they are certainly different people, shape ``(n,)``.
    """

    similarity: NDArray[np.float64]
    weights: NDArray[np.float64]
    apart: NDArray[np.bool_]

    def count(self, low: float, high: float) -> float:
        """Return how many people have a best similarity in a range, without those who were told apart."""
        inside = (self.similarity >= low) & (self.similarity < high) & ~self.apart
        return float(self.weights[inside].sum())


def is_unexplained(best: Best, mates: Mates, threshold: float, fpir: float) -> bool:
    """Tell whether many more strangers may reach a threshold than the law says, because mates do not look like them.

    The searches above the threshold are of mates and of strangers. The most similar ones are taken for mates, and tell
    how many less similar mates there are, as the share of true null hypotheses is estimated by Storey (2002). What is
    left below them are strangers, and those who were told apart are. People who look alike, as of one family or origin,
    are seen this way: their similarities are above the threshold, but few are as high as those of mates.

    Args:
        best: the searches.
        mates: how similar mates are.
        threshold: [-1, 1].
        fpir: that of the law at the threshold.
    """
    people = float(best.weights.sum())
    allowed = MAX_UNEXPLAINED * fpir * people
    certain = float(best.weights[best.apart & (best.similarity >= threshold)].sum())
    for deviations in _LEAST_SIMILAR:
        start = mates.mean + deviations * mates.deviation
        if start <= threshold:
            continue
        share = _HARD_SHARE + (mates.below(start) - mates.below(threshold)) / (1 - mates.below(start))
        surely = best.count(start, math.inf)
        below = best.count(threshold, start) + certain
        variance = _SEARCHES_OF_A_PAIR * (allowed + surely * share * (1 + share))
        if below - surely * share > allowed + _DEVIATIONS * math.sqrt(variance):
            return True
    return False


def is_mixed(best: Best, separation: Separation) -> bool:
    """Tell whether nonmated searches clearly follow no common law: then the threshold may be far too low or too high.

    That is so if a part of the people look alike, as those of one family or origin: the best similarities of the others
    are lower than theirs, and no single law has both. The distance is that of Anderson and Darling, weighted for the
    upper tail (Sinclair, Spurr and Ahmad 1990): the mean square of the difference between the share of searches and
    that of the law, divided by the latter.

    Args:
        best: the searches.
        separation: the law, and how likely each search found a mate; with a row for each search.
    """
    order = np.argsort(-best.similarity, kind="stable")
    weights = (best.weights * (1 - separation.mated))[order]
    people = float(weights.sum())
    if not people:
        return False
    reaching = (np.cumsum(weights) - weights / 2) / people
    expected = separation.law.survival(best.similarity[order])
    distance = float(weights @ ((reaching - expected) ** 2 / np.maximum(expected, _LEAST_SHARE))) / people
    return distance > max(MAX_DISTANCE, _CHANCE_DISTANCE / people)
