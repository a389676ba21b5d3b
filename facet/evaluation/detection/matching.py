"""What became of the detections and the labelled objects of a picture."""

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
class Detected:
    """What the service found in a picture, in any order.

    Attributes:
        boxes: xyxy pixels, float64 ``(n, 4)``.
        scores: [0, 1], float64 ``(n,)``.
        classes: as those of the labels, intp ``(n,)``.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.intp]

    @staticmethod
    def nothing() -> Detected:
        """Nothing was found."""
        return Detected(np.empty((0, 4)), np.empty(0), np.empty(0, np.intp))


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture after the match.

    Attributes:
        labels: what people marked.
        detected: what was found, by falling score.
        verdicts: of each detection :data:`TRUE_POSITIVE`, :data:`FALSE_POSITIVE` or :data:`IGNORED`, int8 ``(n,)``.
        found_at: the score of the detection that each labelled object was matched with, float64 ``(m,)``; minus
            infinity where there was none. At a least score ``s`` found is what was found at ``s`` or more: detections
            of lower scores take nothing from those of higher ones.
    """

    labels: LabelledPicture
    detected: Detected
    verdicts: NDArray[np.int8]
    found_at: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.bool_]:
        """Which labelled objects are judged by, ``(m,)``."""
        return ~self.labels.ignored


def judge(labels: LabelledPicture, detected: Detected, *, iou: float) -> Judged:
    """Match detections with labelled objects, greedily by falling score.

    A detection takes the free object of its class that it overlaps most, where their IoU reaches ``iou``; an object is
    taken once. A detection that is left without one, and overlaps an ignored one of its class enough, counts neither
    way, however many others do.

    Args:
        labels: what people marked.
        detected: what was found.
        iou: the least intersection over union of a match, (0, 1].
    """
    order = np.argsort(-detected.scores, kind="stable")
    detected = Detected(detected.boxes[order], detected.scores[order], detected.classes[order])
    overlaps = iou_matrix(detected.boxes, labels.boxes, labels.crowds)
    overlaps[detected.classes[:, None] != labels.classes[None]] = 0.0
    free = ~labels.ignored
    found_at = np.full(len(free), -np.inf)
    verdicts = np.where((overlaps * labels.ignored).max(axis=1, initial=0.0) >= iou, IGNORED, FALSE_POSITIVE)
    for at in np.flatnonzero((overlaps * free).max(axis=1, initial=0.0) >= iou):
        candidates = np.where(free, overlaps[at], 0.0)
        taken = int(candidates.argmax())
        if candidates[taken] >= iou:
            free[taken] = False
            found_at[taken] = detected.scores[at]
            verdicts[at] = TRUE_POSITIVE
    return Judged(labels, detected, verdicts.astype(np.int8), found_at)


def iou_matrix(
    boxes: NDArray[np.float64], others: NDArray[np.float64], crowds: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Intersection over union of every box with every other, with a crowd over the box: ``(n, m)``; 0 without area."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas, other_areas = ((each[:, 2:] - each[:, :2]).prod(axis=-1) for each in (boxes, others))
    whole = np.where(crowds[None], areas[:, None], areas[:, None] + other_areas[None] - shared)
    overlaps: NDArray[np.float64] = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return overlaps
