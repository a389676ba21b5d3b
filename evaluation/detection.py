"""The figures of face detection at the scores that the server answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.wider import LabelledPicture

MIN_HEIGHT = 20.0
"""Labelled faces lower than this are not judged by, pixels."""
BANDS: tuple[tuple[float, float], ...] = ((MIN_HEIGHT, 40.0), (40.0, 80.0), (80.0, np.inf))
"""Heights by which recall is told, pixels, half-open."""

Verdict = Literal["true positive", "false positive", "ignored"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the detections and the labelled faces of one picture.

    Attributes:
        verdicts: of the detections, by falling score.
        heights: of the labelled faces that count, pixels, ``(n,)``.
        found: for each of them whether a detection was matched with it, bool ``(n,)``.
    """

    verdicts: tuple[Verdict, ...]
    heights: NDArray[np.float64]
    found: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Recall:
    """The labelled faces of a band of heights.

    Attributes:
        faces: how many count.
        found: how many of them were found.
    """

    faces: int
    found: int

    @property
    def value(self) -> float | None:
        """The share that was found, [0, 1]; ``None`` without faces."""
        return self.found / self.faces if self.faces else None


@dataclass(frozen=True, slots=True)
class DetectionFigures:
    """Counts over all pictures.

    Attributes:
        by_height: recall in the bands of :data:`BANDS`.
        true_positives: detections matched with a face that counts.
        false_positives: detections matched with nothing, or with a face that another had already.
        ignored: detections that lie on a face that is not judged by.
        pictures: how many were judged.
    """

    by_height: tuple[Recall, ...]
    true_positives: int
    false_positives: int
    ignored: int
    pictures: int

    @property
    def precision(self) -> float | None:
        """Share of the detections that are right, the ignored ones left out, [0, 1]; ``None`` without any."""
        judged = self.true_positives + self.false_positives
        return self.true_positives / judged if judged else None

    @property
    def recall(self) -> Recall:
        """All heights together."""
        return Recall(sum(band.faces for band in self.by_height), sum(band.found for band in self.by_height))


def judge(labels: LabelledPicture, boxes: NDArray[np.float64], scores: NDArray[np.float64], *, iou: float) -> Judged:
    """Match detections with labelled faces, greedily by falling score.

    A detection takes the free face that it overlaps most, where their IoU reaches ``iou``; a face is taken once.
    Faces flagged invalid or lower than :data:`MIN_HEIGHT` are not judged by: they are in no recall, and a detection
    that is left without a face and overlaps one of them enough counts neither way.

    Args:
        labels: the faces that people marked.
        boxes: of the detections, xyxy pixels ``(n, 4)``.
        scores: of the detections ``(n,)``.
        iou: the least intersection over union of a match, (0, 1].
    """
    heights = labels.boxes[:, 3] - labels.boxes[:, 1]
    counts = ~labels.invalid & (heights >= MIN_HEIGHT)
    free = counts.copy()
    order = np.argsort(-scores, kind="stable")
    overlaps = _iou(boxes[order], labels.boxes)
    verdicts: list[Verdict] = []
    for row in overlaps:
        candidates = np.where(free, row, 0.0)
        if candidates.max(initial=0.0) >= iou:
            free[candidates.argmax()] = False
            verdicts.append("true positive")
        elif row[~counts].max(initial=0.0) >= iou:
            verdicts.append("ignored")
        else:
            verdicts.append("false positive")
    return Judged(tuple(verdicts), heights[counts], ~free[counts])


def summarise(judged: Sequence[Judged]) -> DetectionFigures:
    """Add up what was judged, picture by picture."""
    heights = np.concatenate([each.heights for each in judged] or [np.empty(0)])
    found = np.concatenate([each.found for each in judged] or [np.empty(0, bool)])
    bands = [(heights >= low) & (heights < high) for low, high in BANDS]
    verdicts = [verdict for each in judged for verdict in each.verdicts]
    return DetectionFigures(
        by_height=tuple(Recall(int(band.sum()), int(found[band].sum())) for band in bands),
        true_positives=verdicts.count("true positive"),
        false_positives=verdicts.count("false positive"),
        ignored=verdicts.count("ignored"),
        pictures=len(judged),
    )


def _iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of every box with every other: ``(n, m)``; 0 where neither has an area."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas, other_areas = ((each[:, 2:] - each[:, :2]).prod(axis=-1) for each in (boxes, others))
    union = areas[:, None] + other_areas[None] - shared
    overlaps: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps
