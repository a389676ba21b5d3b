"""Verification figures, computed from weighted pairs so that they can be resampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.intervals import Weights

NO_FACE = -1.0
"""The similarity of a pair with a picture without a face: the lowest possible."""
FARS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""False accept rates at which the true accept rate is reported."""

Values: TypeAlias = dict[str, float | None]


def far_name(rate: float) -> str:
    """The part of a figure's name that states its false accept rate, such as ``far=1e-3``."""
    return f"far=1e{round(np.log10(rate))}"


def is_measurable(rate: float, nonmated: int) -> bool:
    """Whether this number of nonmated pairs can show a false accept rate: it must allow at least one of them."""
    return nonmated * rate >= 1 - 1e-9


class RocCurve:
    """The ROC curve of pairs with similarities. A pair is accepted if its similarity reaches the threshold.

    Args:
        similarity: similarity of each pair, shape ``(n,)``; :data:`NO_FACE` if a picture shows no face.
        same: whether the pair is mated.
    """

    def __init__(self, similarity: NDArray[np.floating], same: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-similarity, kind="stable")
        self._same = same[self._order]
        falling = similarity[self._order].astype(np.float64)
        self._ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], len(falling) > 0))
        self._thresholds = np.append(np.inf, falling[self._ends])

    def points(self, weights: Weights) -> RocPoints | None:
        """Both rates at every threshold; ``None`` without mated or without nonmated pairs."""
        falling = weights[self._order]
        mated = np.cumsum(np.where(self._same, falling, 0))[self._ends]
        nonmated = np.cumsum(np.where(self._same, 0, falling))[self._ends]
        if not len(mated) or not mated[-1] or not nonmated[-1]:
            return None
        return RocPoints(
            self._thresholds,
            np.append(0.0, nonmated / nonmated[-1]),
            np.append(0.0, mated / mated[-1]),
        )


@dataclass(frozen=True, slots=True)
class RocPoints:
    """The points of a ROC curve, from accepting nothing to accepting everything.

    Attributes:
        thresholds: falling; the first is infinite, shape ``(m,)``.
        far: false accept rate (false match rate), rising, [0, 1].
        tar: true accept rate, rising, [0, 1].
    """

    thresholds: NDArray[np.float64]
    far: NDArray[np.float64]
    tar: NDArray[np.float64]

    def auc(self) -> float:
        """Area under the curve: the probability that a mated pair is more similar than a nonmated one, ties half."""
        return float(np.trapezoid(self.tar, self.far))

    def eer(self) -> tuple[float, float]:
        """Equal error rate, where the interpolated curve crosses FAR = FRR, and the threshold there."""
        excess = self.far - (1 - self.tar)
        after = int(np.argmax(excess >= 0))
        before = after - 1
        fraction = -excess[before] / (excess[after] - excess[before])
        rate = self.far[before] + fraction * (self.far[after] - self.far[before])
        return float(rate), float(self.thresholds[after])

    def at_far(self, rate: float) -> tuple[float, float]:
        """The largest true accept rate with a false accept rate of at most ``rate``, and its threshold."""
        last = int(np.searchsorted(self.far, rate + 1e-12, side="right")) - 1
        return float(self.tar[last]), float(self.thresholds[last])

    def values(self) -> Values:
        """The figures of the curve by name."""
        return {
            "auc": self.auc(),
            "eer": self.eer()[0],
            **{f"tar@{far_name(rate)}": self.at_far(rate)[0] for rate in FARS},
        }


class LfwFolds:
    """Accuracy by LFW's protocol: each fold is judged at the threshold that is best on all other folds.

    The best threshold is the midpoint of two neighbouring similarities, the highest of equally good ones. No threshold
    accepts a pair without a face.

    Args:
        similarity: similarity of each pair, shape ``(n,)``; :data:`NO_FACE` if a picture shows no face.
        same: whether the pair is mated.
        folds: fold of the pair, from 0.
    """

    def __init__(self, similarity: NDArray[np.floating], same: NDArray[np.bool_], folds: NDArray[np.intp]) -> None:
        self._order = np.argsort(-similarity, kind="stable")
        falling = similarity[self._order].astype(np.float64)
        self._sign = np.where(same[self._order], 1, -1)
        self._members = [np.flatnonzero(folds[self._order] == fold) for fold in range(int(folds.max(initial=-1)) + 1)]
        ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], len(falling) > 0))
        below = np.append(falling[ends][1:], -np.inf)
        midpoints = (falling[ends] + below) / 2
        has_face = falling[ends] != NO_FACE
        self._ends, self._midpoints = ends[has_face], np.append(np.inf, midpoints[has_face])
        # The number of each fold's members above each cut of the order.
        cuts = np.append(-1, self._ends)
        self._above = [np.searchsorted(each, cuts, side="right").astype(np.int32) for each in self._members]

    def accuracies(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Accuracy and threshold of each fold, without folds that have no pairs.

        Cutting the order at a position is right about the mated pairs above and the nonmated pairs below it.
        """
        signed = weights[self._order] * self._sign
        gains = np.append(0, np.cumsum(signed)[self._ends])
        accuracies, thresholds = [], []
        for members, above in zip(self._members, self._above, strict=True):
            own = signed[members]
            total = int(np.abs(own).sum())
            if not total:
                continue
            own_gains = np.append(0, np.cumsum(own))[above]
            best = int(np.argmax(gains - own_gains))
            nonmated = int(-own[own < 0].sum())
            accuracies.append((own_gains[best] + nonmated) / total)
            thresholds.append(self._midpoints[best])
        return np.array(accuracies, np.float64), np.array(thresholds, np.float64)


def decision_values(accepted: NDArray[np.bool_], same: NDArray[np.bool_], weights: Weights) -> Values:
    """The figures of the decisions at one threshold, by name.

    Args:
        accepted: whether each pair was accepted, shape ``(n,)``.
        same: whether it is mated.
        weights: how often it counts.
    """
    hits = int(weights[accepted & same].sum())
    false_accepts = int(weights[accepted & ~same].sum())
    mated, nonmated = int(weights[same].sum()), int(weights[~same].sum())
    right = hits + nonmated - false_accepts
    return {
        "far": _share(false_accepts, nonmated),
        "frr": _share(mated - hits, mated),
        "deployed_accuracy": _share(right, mated + nonmated),
        "precision": _share(hits, hits + false_accepts),
        "recall": _share(hits, mated),
        "f1": _share(2 * hits, hits + false_accepts + mated),
    }


def thin_curve(points: RocPoints, limit: int = 200) -> Mapping[str, NDArray[np.float64]]:
    """The corners of a ROC curve, dense at both ends, where errors are rare; at most about ``limit`` per axis."""
    by_frr = _log_spaced(1 - points.tar[::-1], limit)
    corners = np.union1d(_log_spaced(points.far, limit), len(points.tar) - 1 - by_frr)
    return {
        "far": points.far[corners],
        "tar": points.tar[corners],
        "threshold": points.thresholds[corners],
    }


def _log_spaced(rising: NDArray[np.float64], limit: int) -> NDArray[np.intp]:
    """At most ``limit`` positions before a step of a rising rate, evenly spaced on a logarithmic axis, and the last."""
    steps = np.append(np.flatnonzero(rising[1:] != rising[:-1]), len(rising) - 1)
    if len(steps) > limit:
        steps = steps[np.unique(np.geomspace(1, len(steps), limit).astype(np.intp) - 1)]
    return steps


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
