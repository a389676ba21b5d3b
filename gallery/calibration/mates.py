"""How similar two templates of one person are: what a search that finds the person under another id looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

MATES_OF_LFW = (0.62, 0.12)
"""Mean and deviation of the similarity of two templates of one person: those of LFW under the packaged model."""

_PRIOR_SUBJECTS = 30
"""How many subjects the figures of LFW count for."""
_WIDER = 1.25
"""The deviation is made wider by this factor, because pictures under another id are of other days and cameras."""
_REACH = 0.75
"""So many deviations above their mean a threshold misses three quarters of the mates."""
_NARROWEST = 0.02


@dataclass(frozen=True, slots=True)
class Mates:
    """The normal distribution of the similarity of mates.

    Attributes:
        mean: [-1, 1].
        deviation: above 0.
    """

    mean: float = MATES_OF_LFW[0]
    deviation: float = _WIDER * MATES_OF_LFW[1]

    @classmethod
    def of(cls, similarity: NDArray[np.float32], subject_ids: Sequence[str]) -> Mates:
        """Estimate the distribution from templates that were compared with the others of their subject.

        Quartiles are used, because a few wrong pictures do not move them. Every subject counts once. Few subjects count
        together with the figures of LFW, and without any these are used.

        Args:
            similarity: of each template to the others of its subject, shape ``(k,)``.
            subject_ids: the subject of each.
        """
        if not len(subject_ids):
            return cls()
        _, codes, counts = np.unique(np.asarray(subject_ids), return_inverse=True, return_counts=True)
        order = np.argsort(similarity, kind="stable")
        shares = np.cumsum(1 / counts[codes][order]) / len(counts)
        rows = np.minimum(np.searchsorted(shares, [0.25, 0.5, 0.75]), len(order) - 1)
        low, middle, high = similarity[order][rows].astype(np.float64).tolist()
        weight = len(counts) / (len(counts) + _PRIOR_SUBJECTS)
        seen = (high - low) / (2 * NormalDist().inv_cdf(0.75))
        mean = weight * middle + (1 - weight) * MATES_OF_LFW[0]
        deviation = weight * seen + (1 - weight) * MATES_OF_LFW[1]
        return cls(mean, max(_WIDER * deviation, _NARROWEST))

    @property
    def highest(self) -> float:
        """The highest similarity that a threshold may be: it misses three quarters of the mates."""
        return self.mean + _REACH * self.deviation

    def densities(self, similarities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the density at each similarity."""
        standard = (similarities - self.mean) / self.deviation
        density: NDArray[np.float64] = np.exp(-0.5 * standard**2) / (self.deviation * math.sqrt(2 * math.pi))
        return density

    def below(self, similarity: float) -> float:
        """Return the share of mates that are less similar."""
        return NormalDist(self.mean, self.deviation).cdf(similarity)

    def above_strangers(self, location: float) -> Mates:
        """Return mates that lie at least halfway between the most frequent similarity of nonmated searches and 1."""
        return Mates(max(self.mean, (1 + location) / 2), self.deviation)
