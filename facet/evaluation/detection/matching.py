"""Matching of detections with the labelled objects of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.labelled import LabelledPicture

TRUE_POSITIVE: Final = 1
FALSE_POSITIVE: Final = 0
IGNORED: Final = -1


@dataclass(frozen=True, slots=True)
class Detections:
    """The detections in a picture, in any order.

    Attributes:
        boxes: xyxy pixels, float64 ``(n, 4)``.
        scores: [0, 1], float64 ``(n,)``.
        classes: class indices as in the labels, intp ``(n,)``.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.intp]

    @staticmethod
    def none() -> Detections:
        """No detections."""
        return Detections(np.empty((0, 4)), np.empty(0), np.empty(0, np.intp))


@dataclass(frozen=True, slots=True)
class MatchedPicture:
    """A picture whose detections are matched with its labels.

    Attributes:
        labels: the labelled objects.
        detections: the detections, by falling score.
        verdicts: :data:`TRUE_POSITIVE`, :data:`FALSE_POSITIVE` or :data:`IGNORED` for each detection, int8 ``(n,)``.
        matched_scores: the score of the detection matched with each labelled object, float64 ``(m,)``; minus infinity
            without a match. The matches at a minimum score are those that reach it, because a detection takes no
            object from one with a higher score.
    """

    labels: LabelledPicture
    detections: Detections
    verdicts: NDArray[np.int8]
    matched_scores: NDArray[np.float64]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Whether each labelled object is judged, that is, not ignored, ``(m,)``."""
        return ~self.labels.ignored


def match_detections(labels: LabelledPicture, detections: Detections, *, iou: float) -> MatchedPicture:
    """Match detections with labelled objects, greedily by falling score.

    A detection takes the free object of its class with the largest IoU, if that reaches ``iou``. Each object is taken
    once. An unmatched detection is ignored if its IoU with an ignored object of its class reaches ``iou``; an ignored
    object absorbs any number of detections.

    Args:
        labels: the labelled objects.
        detections: the detections.
        iou: minimum intersection over union of a match, (0, 1].
    """
    order = np.argsort(-detections.scores, kind="stable")
    detections = Detections(detections.boxes[order], detections.scores[order], detections.classes[order])
    overlaps = iou_matrix(detections.boxes, labels.boxes, labels.crowds)
    overlaps[detections.classes[:, None] != labels.classes[None]] = 0.0
    free = ~labels.ignored
    matched_scores = np.full(len(free), -np.inf)
    verdicts = np.where((overlaps * labels.ignored).max(axis=1, initial=0.0) >= iou, IGNORED, FALSE_POSITIVE)
    for index in np.flatnonzero((overlaps * free).max(axis=1, initial=0.0) >= iou):
        candidates = np.where(free, overlaps[index], 0.0)
        best = int(candidates.argmax())
        if candidates[best] >= iou:
            free[best] = False
            matched_scores[best] = detections.scores[index]
            verdicts[index] = TRUE_POSITIVE
    return MatchedPicture(labels, detections, verdicts.astype(np.int8), matched_scores)


def iou_matrix(
    boxes: NDArray[np.float64], others: NDArray[np.float64], crowds: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Compute the intersection over union of each box with each other box, ``(n, m)``; 0 for boxes without area.

    For a crowd, the divisor is the area of the box instead of the union, as in COCO.

    Args:
        boxes: xyxy, ``(n, 4)``.
        others: xyxy, ``(m, 4)``.
        crowds: which of the others are crowds, ``(m,)``.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas, other_areas = ((each[:, 2:] - each[:, :2]).prod(axis=-1) for each in (boxes, others))
    whole = np.where(crowds[None], areas[:, None], areas[:, None] + other_areas[None] - shared)
    overlaps: NDArray[np.float64] = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return overlaps
