"""The figures of detection at a least score, with intervals; pictures are what is resampled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.detection_set import MIN_FACE_HEIGHT, Task
from facet.evaluation.detection.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, Judged
from facet.evaluation.intervals import Figure, Identities, Weights, bootstrapped, unless_alone, widened

Counts: TypeAlias = NDArray[np.int64]
"""Of each picture, shape ``(pictures,)``."""


@dataclass(frozen=True, slots=True)
class Band:
    """Sizes for which recall is told.

    Attributes:
        name: as it follows "recall_".
        low: the least size; of faces their height in pixels, of objects their area in square pixels.
        high: the size that is too large.
    """

    name: str
    low: float
    high: float


BANDS: dict[Task, tuple[Band, ...]] = {
    "faces": (Band("20_40", MIN_FACE_HEIGHT, 40.0), Band("40_80", 40.0, 80.0), Band("80", 80.0, np.inf)),
    "objects": (Band("small", 0.0, 32.0**2), Band("medium", 32.0**2, 96.0**2), Band("large", 96.0**2, np.inf)),
}
"""The bands of faces are ours; those of objects are COCO's."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was right and wrong in each picture at a least score.

    Attributes:
        true_positives: detections matched with an object that counts.
        false_positives: detections matched with nothing, or with an object that another had already.
        ignored: detections on an object that is not judged by.
        objects: labelled objects that count.
    """

    true_positives: Counts
    false_positives: Counts
    ignored: Counts
    objects: Counts


def outcome(judged: Sequence[Judged], least: float, of_class: int | None = None) -> Outcome:
    """Count what was found at a score of ``least`` or more, of all classes or of one."""

    def verdicts(verdict: int) -> Counts:
        return _counted(
            (each.verdicts == verdict) & (each.detected.scores >= least) & _is(each.detected.classes, of_class)
            for each in judged
        )

    objects = _counted(each.counts & _is(each.labels.classes, of_class) for each in judged)
    return Outcome(verdicts(TRUE_POSITIVE), verdicts(FALSE_POSITIVE), verdicts(IGNORED), objects)


def _is(classes: NDArray[np.intp], of_class: int | None) -> NDArray[np.bool_]:
    return np.ones(len(classes), np.bool_) if of_class is None else classes == of_class


def _counted(flags: Iterable[NDArray[np.bool_]]) -> Counts:
    return np.array([np.count_nonzero(each) for each in flags], np.int64)


class Resampled:
    """Shares over pictures, with intervals by resampling the pictures.

    Args:
        images: the pictures.
        seed: of the resampling.
    """

    def __init__(self, images: Sequence[str], seed: int) -> None:
        self._images = images
        self._identities = Identities(images, seed=seed)

    def rounds(self) -> Iterator[Weights]:
        """How often each picture counts, round by round."""
        return self._identities.weights(self._images)

    def share(self, hits: Counts, of: Counts) -> Figure:
        """The share of hits; where none or all hit, its other end is the rule of three over pictures."""

        def statistic(weights: Weights) -> float | None:
            total = int(of @ weights)
            return int(hits @ weights) / total if total else None

        figure = bootstrapped(statistic, len(of), self.rounds())
        return widened(figure, int(np.count_nonzero(of)))

    def per_picture(self, counts: Counts) -> Figure:
        """The mean count of a picture; where none has any, its upper end is the rule of three over pictures."""

        def statistic(weights: Weights) -> float | None:
            total = int(weights.sum())
            return int(counts @ weights) / total if total else None

        figure = bootstrapped(statistic, len(counts), self.rounds())
        return unless_alone(figure, len(counts)) if counts.any() else widened(figure, len(counts))

    def precision(self, at: Outcome) -> Figure:
        """Share of the detections that are right, the ignored ones left out."""
        return self.share(at.true_positives, at.true_positives + at.false_positives)

    def recall(self, at: Outcome) -> Figure:
        """Share of the objects that were found."""
        return self.share(at.true_positives, at.objects)

    def f1(self, at: Outcome) -> Figure:
        """The harmonic mean of the two."""
        return self.share(2 * at.true_positives, at.true_positives + at.false_positives + at.objects)

    def recall_of(self, judged: Sequence[Judged], least: float, task: Task, band: Band) -> tuple[int, Figure]:
        """How many objects of a band of sizes count, and the share of them that was found."""
        inside = []
        for each in judged:
            sizes = each.labels.heights if task == "faces" else each.labels.areas
            inside.append(each.counts & (sizes >= band.low) & (sizes < band.high))
        objects = _counted(inside)
        found = _counted(each.found_at[chosen] >= least for each, chosen in zip(judged, inside, strict=True))
        return int(objects.sum()), self.share(found, objects)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Precision, recall and F1 over least scores, each ``(n,)``."""

    scores: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def sweep(judged: Sequence[Judged], least: NDArray[np.float64]) -> Sweep:
    """What precision, recall and F1 would be at other least scores, as far as something is found at them.

    Args:
        judged: what was found down to the lowest of them.
        least: rising scores.
    """
    scores = _joined([each.detected.scores for each in judged])
    verdicts = _joined([each.verdicts for each in judged])
    objects = sum(int(np.count_nonzero(each.counts)) for each in judged)
    right = len(scores[verdicts == TRUE_POSITIVE]) - np.searchsorted(np.sort(scores[verdicts == TRUE_POSITIVE]), least)
    wrong = len(scores[verdicts == FALSE_POSITIVE]) - np.searchsorted(
        np.sort(scores[verdicts == FALSE_POSITIVE]), least
    )
    some = (right + wrong > 0) & (objects > 0)
    right, wrong = right[some], wrong[some]
    return Sweep(least[some], right / (right + wrong), right / max(objects, 1), 2 * right / (right + wrong + objects))


def _joined(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *parts])
