"""The figures of verification, of weighted pairs so that they can be resampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.intervals import Weights

NO_FACE = -1.0
"""What a pair counts as, one of whose pictures shows no face: nothing is less alike."""
FARS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""The false accept rates at which true accepts are told."""

Values: TypeAlias = dict[str, float | None]


def at_far(rate: float) -> str:
    """What figures at a false accept rate are called after: ``far=1e-3``."""
    return f"far=1e{round(np.log10(rate))}"


def measurable(rate: float, impostors: int) -> bool:
    """Whether so many pairs of two people can show this rate: at least one of them may be accepted."""
    return impostors * rate >= 1 - 1e-9


class Curve:
    """What every threshold does, for scored pairs of which some are of one person.

    A pair is accepted where its similarity is at least the threshold.

    Args:
        similarity: of each pair, shape ``(n,)``; :data:`NO_FACE` where there was none.
        same: whether it is of one person.
    """

    def __init__(self, similarity: NDArray[np.floating], same: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-similarity, kind="stable")
        self._same = same[self._order]
        falling = similarity[self._order].astype(np.float64)
        self._ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], len(falling) > 0))
        self._thresholds = np.append(np.inf, falling[self._ends])

    def points(self, weights: Weights) -> Points | None:
        """Both error rates at every threshold; ``None`` without pairs of both kinds."""
        falling = weights[self._order]
        genuine = np.cumsum(np.where(self._same, falling, 0))[self._ends]
        impostors = np.cumsum(np.where(self._same, 0, falling))[self._ends]
        if not len(genuine) or not genuine[-1] or not impostors[-1]:
            return None
        return Points(
            self._thresholds,
            np.append(0.0, impostors / impostors[-1]),
            np.append(0.0, genuine / genuine[-1]),
        )


@dataclass(frozen=True, slots=True)
class Points:
    """The points of a ROC curve, from accepting nothing to accepting everything.

    Attributes:
        thresholds: falling; the first is infinite, shape ``(m,)``.
        far: false accept rate (false match rate) there, rising, [0, 1].
        tar: true accept rate there, rising, [0, 1].
    """

    thresholds: NDArray[np.float64]
    far: NDArray[np.float64]
    tar: NDArray[np.float64]

    def auc(self) -> float:
        """Area under the curve: the chance that a pair of one person is more alike than one of two, ties half."""
        return float(np.trapezoid(self.tar, self.far))

    def eer(self) -> tuple[float, float]:
        """Equal error rate, where the curve between its points crosses FAR = FRR, and the threshold at the crossing."""
        over = self.far - (1 - self.tar)
        after = int(np.argmax(over >= 0))
        before = after - 1
        part = -over[before] / (over[after] - over[before])
        rate = self.far[before] + part * (self.far[after] - self.far[before])
        return float(rate), float(self.thresholds[after])

    def at_far(self, rate: float) -> tuple[float, float]:
        """The greatest true accept rate at which the false one is at most ``rate``, and the threshold of it."""
        last = int(np.searchsorted(self.far, rate + 1e-12, side="right")) - 1
        return float(self.tar[last]), float(self.thresholds[last])

    def values(self) -> Values:
        """The figures of the curve by their names."""
        return {
            "auc": self.auc(),
            "eer": self.eer()[0],
            **{f"tar@{at_far(rate)}": self.at_far(rate)[0] for rate in FARS},
        }


class Folds:
    """Accuracy by the protocol of LFW: each fold judged at the threshold that is best on all others.

    The best threshold lies in the middle between the two neighbouring similarities; of several that are equally good
    it is the highest. None accepts a pair without a face.

    Args:
        similarity: of each pair, shape ``(n,)``; :data:`NO_FACE` where there was none.
        same: whether it is of one person.
        folds: which fold it belongs to, 0 and up.
    """

    def __init__(self, similarity: NDArray[np.floating], same: NDArray[np.bool_], folds: NDArray[np.intp]) -> None:
        self._order = np.argsort(-similarity, kind="stable")
        falling = similarity[self._order].astype(np.float64)
        self._sign = np.where(same[self._order], 1, -1)
        self._members = [np.flatnonzero(folds[self._order] == fold) for fold in range(int(folds.max(initial=-1)) + 1)]
        self._ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], len(falling) > 0))
        below = np.append(falling[self._ends][1:], -np.inf)
        middles = (falling[self._ends] + below) / 2
        has_face = falling[self._ends] != NO_FACE
        self._ends, self._middles = self._ends[has_face], np.append(np.inf, middles[has_face])
        # How many members of each fold lie above each place where the order can be cut.
        cuts = np.append(-1, self._ends)
        self._reached = [np.searchsorted(each, cuts, side="right").astype(np.int32) for each in self._members]

    def accuracies(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Each fold's accuracy and threshold; folds without a pair are left out.

        Accepting down to a place in the order is right about the pairs of one person above it and those of two below.
        """
        signed = weights[self._order] * self._sign
        gains = np.append(0, np.cumsum(signed)[self._ends])
        accuracies, thresholds = [], []
        for members, reached in zip(self._members, self._reached, strict=True):
            own = signed[members]
            total = int(np.abs(own).sum())
            if not total:
                continue
            own_gains = np.append(0, np.cumsum(own))[reached]
            best = int(np.argmax(gains - own_gains))
            wrong_at_first = int(-own[own < 0].sum())
            accuracies.append((own_gains[best] + wrong_at_first) / total)
            thresholds.append(self._middles[best])
        return np.array(accuracies, np.float64), np.array(thresholds, np.float64)


def decided(accepted: NDArray[np.bool_], same: NDArray[np.bool_], weights: Weights) -> Values:
    """The figures of the decisions at one threshold.

    Args:
        accepted: whether each pair was taken to be of one person, shape ``(n,)``.
        same: whether it is.
        weights: how often it counts.
    """
    hits = int(weights[accepted & same].sum())
    false_accepts = int(weights[accepted & ~same].sum())
    genuine, impostors = int(weights[same].sum()), int(weights[~same].sum())
    right = hits + impostors - false_accepts
    return {
        "far": _share(false_accepts, impostors),
        "frr": _share(genuine - hits, genuine),
        "deployed_accuracy": _share(right, genuine + impostors),
        "precision": _share(hits, hits + false_accepts),
        "recall": _share(hits, genuine),
        "f1": _share(2 * hits, hits + false_accepts + genuine),
    }


def thinned(points: Points, most: int = 200) -> Mapping[str, NDArray[np.float64]]:
    """The corners of a ROC curve, dense at either end, where errors are rare; about ``most`` of each kind at most."""
    corners = np.union1d(_spread(points.far, most), _spread(1 - points.tar[::-1], most, last=len(points.tar) - 1))
    return {
        "far": points.far[corners],
        "tar": points.tar[corners],
        "threshold": points.thresholds[corners],
    }


def _spread(rising: NDArray[np.float64], most: int, *, last: int | None = None) -> NDArray[np.intp]:
    """Positions at which a rising rate takes values about evenly spread on a logarithmic axis, with the last of each.

    Args:
        rising: the rate.
        most: how many.
        last: where the rate was turned around, the last position, from which positions are counted back.
    """
    steps = np.append(np.flatnonzero(rising[1:] != rising[:-1]), len(rising) - 1)
    if len(steps) > most:
        steps = steps[np.unique(np.geomspace(1, len(steps), most).astype(np.intp) - 1)]
    return steps if last is None else last - steps


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
