"""How a search for somebody who is not enrolled scores: its best two subjects, from a calibration's curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.records.calibrations import CurvePoint

Floats = NDArray[np.float64]

_GRID = np.linspace(-1.5, 1.5, 3001)
_SMALLEST_SHARE = 1e-9
_LARGEST_LOGARITHM = 7.0
"""Of the hazard. No search has a best similarity so low."""
_MIN_SLOPE = 1.0
"""The logarithm of the hazard falls at least this much per unit of similarity, beyond the ends of the curve."""


@dataclass(frozen=True, slots=True)
class Change:
    """How similarities to other people differ from those of the calibration, as another camera changes them.

    Attributes:
        shift: of all similarities.
        log_scale: logarithm of the factor by which their spread grew.
        log_closeness: logarithm of the factor by which the best two are closer together than independent ones. A face
            that resembles one subject resembles others, too.
    """

    shift: float
    log_scale: float
    log_closeness: float


class Strangers:
    """The best two similarities of a nonmated search.

    Similarities to other people that are above a value come as a Poisson process does. The hazard H(s), their expected
    number above s, is given by the calibration's curve, which has the share 1 - exp(-H(s)) of searches whose best
    similarity is at least s. It is proportional to the number of templates. So the best one is below s with probability
    exp(-H(s)), and if the best one is b, the runner-up is below r with probability exp(H(b) - H(r)) (Resnick 1987,
    "Extreme Values, Regular Variation, and Point Processes").

    Args:
        curve: see :class:`gallery.records.calibrations.Calibration`; at least two points.
        growth: templates that a search compares now, over those of the calibration; above 0.
    """

    def __init__(self, curve: Sequence[CurvePoint], growth: float) -> None:
        at = np.array([similarity for similarity, _ in curve], np.float64)
        shares = np.clip(np.array([share for _, share in curve], np.float64), _SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
        logarithms = np.log(-np.log1p(-shares)) + math.log(growth)
        upper = max(2, len(at) // 4)
        left = -max((logarithms[0] - logarithms[1]) / (at[1] - at[0]), _MIN_SLOPE)
        right = -max((logarithms[-upper] - logarithms[-1]) / (at[-1] - at[-upper]), _MIN_SLOPE)
        on_grid = np.interp(_GRID, at, logarithms)
        on_grid += np.minimum(_GRID - at[0], 0) * left + np.maximum(_GRID - at[-1], 0) * right
        self._hazards = np.exp(np.minimum(on_grid, _LARGEST_LOGARITHM))
        self.median = self.quantile(0.5)

    def quantile(self, share: float) -> float:
        """Return the similarity that this share of the best similarities lies below, (0, 1)."""
        return float(np.interp(math.log(share), -self._hazards, _GRID))

    def hazard(self, similarities: Floats, change: Change) -> Floats:
        """Return the expected number of similarities to other people above each of these."""
        unchanged = (similarities - self.median - change.shift) * math.exp(-change.log_scale) + self.median
        return np.interp(unchanged, _GRID, self._hazards)

    def false_positive_rate(self, threshold: float, change: Change) -> float:
        """Return the share of nonmated searches whose best similarity reaches a threshold."""
        return -math.expm1(-float(self.hazard(np.array(threshold), change)))

    def cells(self, best_edges: Floats, margin_edges: Floats, change: Change) -> Floats:
        """Return the probability of each cell of best similarity and margin, for a nonmated search.

        Args:
            best_edges: rising, shape ``(b + 1,)``. The first bin also holds what lies below.
            margin_edges: rising from 0, shape ``(m + 1,)``. The last bin also holds what lies above.
            change: since the calibration.

        Returns:
            Shape ``(b, m)``; the sum is 1 if the last edge is high enough.
        """
        below = np.exp(-self.hazard(best_edges, change))
        shares = np.diff(below)
        shares[0] += below[0]
        middles = (best_edges[1:] + best_edges[:-1]) / 2
        closer = middles[:, None] - margin_edges * math.exp(change.log_closeness)
        hazard = self.hazard(middles, change)[:, None]
        beyond = np.exp(np.minimum(hazard - self.hazard(closer, change), 0.0))
        beyond[:, -1] = 0.0
        return np.asarray(shares[:, None] * (beyond[:, :-1] - beyond[:, 1:]), np.float64)

    def runner_up(self, best_edges: Floats, margin_edges: Floats, change: Change) -> Floats:
        """Return the probability of each margin over the best of the others, for a mate's similarity in each bin.

        The rows sum to the probability that nobody else is more similar than the mate. For arguments and result see
        :meth:`cells`.
        """
        middles = (best_edges[1:] + best_edges[:-1]) / 2
        below = np.exp(-self.hazard(middles[:, None] - margin_edges, change))
        below[:, -1] = 0.0
        return np.asarray(below[:, :-1] - below[:, 1:], np.float64)
