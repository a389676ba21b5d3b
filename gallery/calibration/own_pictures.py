"""The gallery's own templates, each compared with the others of its subject: what a mated search looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.mates import Mates

_MAX_DEVIATIONS = 8.0
_MAD_OF_NORMAL = 0.6745
_ROUNDS = 1000
_SEED = 0


@dataclass(frozen=True, slots=True)
class OwnPictures:
    """Templates compared with the other templates of their subject, column by column.

    Attributes:
        similarity: of each to the others of its subject, shape ``(k,)``, float32, [-1, 1].
        other: of each to the best other subject, shape ``(k,)``, float32, [-1, 1].
        subject_ids: the subject of each.
        highest_threshold: the highest similarity that different people of this gallery plausibly have, [-1, inf]; see
            :func:`highest_threshold`.
    """

    similarity: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    other: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    subject_ids: Sequence[str] = ()
    highest_threshold: float = math.inf

    @property
    def mates(self) -> Mates:
        """How similar templates of one person are."""
        return Mates.of(self.similarity, self.subject_ids)

    def __len__(self) -> int:
        return len(self.subject_ids)

    def missed(self, threshold: float) -> NDArray[np.bool_]:
        """Tell which are less similar to their subject than a threshold."""
        return self.similarity < threshold

    def fnir(self, threshold: float, plausible: NDArray[np.bool_]) -> tuple[float, float, float] | None:
        """Estimate the share of pictures of a subject that a threshold misses, with its 95 % interval.

        Every subject counts once, however many templates it has. The interval is a bootstrap over subjects
        (Efron 1979); if nothing is missed, its upper end is that of the rule of three (Hanley and Lippman-Hand 1983).

        Args:
            threshold: [-1, 1].
            plausible: which templates seem to show their subject; shape ``(k,)``.

        Returns:
            The share and both ends of the interval; ``None`` if no template is plausible.
        """
        rows = np.flatnonzero(plausible)
        if not len(rows):
            return None
        _, codes = np.unique(np.asarray(self.subject_ids)[rows], return_inverse=True)
        counts = np.bincount(codes)
        shares = np.bincount(codes, weights=self.missed(threshold)[rows]) / counts
        rng, count = np.random.default_rng(_SEED), len(shares)
        means = [shares[rng.integers(count, size=count)].mean() for _ in range(_ROUNDS)]
        low, high = np.percentile(means, [2.5, 97.5]).tolist()
        return float(shares.mean()), low, high if shares.any() else min(1.0, 3 / count)


NO_OWN_PICTURES = OwnPictures()


def highest_threshold(embeddings: NDArray[np.float32]) -> float:
    """Return a similarity that two different people of a gallery hardly ever have.

    It lies eight standard deviations above the median similarity of two people, where one in 10^15 normal values would
    be; the deviation is that of the median absolute deviation (Hampel 1974). People who are enrolled several times
    hardly move either, because most pairs are still of different people.

    Args:
        embeddings: one template of each of at least two subjects, shape ``(n, dimension)``, unit length.
    """
    rows, columns = np.triu_indices(len(embeddings), k=1)
    similarities = (embeddings @ embeddings.T)[rows, columns]
    middle = float(np.median(similarities))
    deviation = float(np.median(np.abs(similarities - middle))) / _MAD_OF_NORMAL
    return middle + _MAX_DEVIATIONS * deviation
