"""Detection figures at a minimum score, with intervals over pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.detection_set import MIN_FACE_HEIGHT, Task
from facet.evaluation.detection.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, MatchedPicture
from facet.evaluation.intervals import Figure, Identities, Weights, bootstrapped, unless_alone, widened

PerPicture: TypeAlias = NDArray[np.int64]
"""A count for each picture, shape ``(pictures,)``."""


@dataclass(frozen=True, slots=True)
class SizeBand:
    """A range of object sizes with a recall of its own.

    Attributes:
        name: the part of the figure's name after "recall_".
        low: smallest size: the height of a face in pixels, or the area of an object in square pixels.
        high: upper limit, exclusive.
    """

    name: str
    low: float
    high: float


SIZE_BANDS: dict[Task, tuple[SizeBand, ...]] = {
    "faces": (SizeBand("20_40", MIN_FACE_HEIGHT, 40.0), SizeBand("40_80", 40.0, 80.0), SizeBand("80", 80.0, np.inf)),
    "objects": (
        SizeBand("small", 0.0, 32.0**2),
        SizeBand("medium", 32.0**2, 96.0**2),
        SizeBand("large", 96.0**2, np.inf),
    ),
}
"""Bands of faces are Facet's own; bands of objects are COCO's."""


@dataclass(frozen=True, slots=True)
class PictureCounts:
    """Counts for each picture at a minimum score.

    Attributes:
        true_positives: detections matched with a judged object.
        false_positives: detections without a match, including those on an object that is already matched.
        ignored: detections on an ignored object.
        objects: judged objects.
    """

    true_positives: PerPicture
    false_positives: PerPicture
    ignored: PerPicture
    objects: PerPicture


def count_at(pictures: Sequence[MatchedPicture], min_score: float, class_index: int | None = None) -> PictureCounts:
    """Count detections with at least the minimum score, and judged objects, of one class or of all."""

    def with_verdict(verdict: int) -> PerPicture:
        return _count(
            (each.verdicts == verdict)
            & (each.detections.scores >= min_score)
            & _is_class(each.detections.classes, class_index)
            for each in pictures
        )

    objects = _count(each.judged & _is_class(each.labels.classes, class_index) for each in pictures)
    return PictureCounts(with_verdict(TRUE_POSITIVE), with_verdict(FALSE_POSITIVE), with_verdict(IGNORED), objects)


def _is_class(classes: NDArray[np.intp], class_index: int | None) -> NDArray[np.bool_]:
    return np.ones(len(classes), np.bool_) if class_index is None else classes == class_index


def _count(flags: Iterable[NDArray[np.bool_]]) -> PerPicture:
    return np.array([np.count_nonzero(each) for each in flags], np.int64)


class PictureBootstrap:
    """Figures with intervals, from resampled pictures.

    Args:
        images: paths of the pictures.
        seed: seed of the resampling.
    """

    def __init__(self, images: Sequence[str], seed: int) -> None:
        self._images = images
        self._identities = Identities(images, seed=seed)

    def rounds(self) -> Iterator[Weights]:
        """Yield how often each picture counts, round by round."""
        return self._identities.weights(self._images)

    def share(self, hits: PerPicture, totals: PerPicture) -> Figure:
        """The share of hits. If none or all hit, the other end is the rule of three over pictures."""

        def statistic(weights: Weights) -> float | None:
            total = int(totals @ weights)
            return int(hits @ weights) / total if total else None

        figure = bootstrapped(statistic, len(totals), self.rounds())
        return widened(figure, int(np.count_nonzero(totals)))

    def per_picture(self, counts: PerPicture) -> Figure:
        """The mean count per picture. If all are 0, the upper end is the rule of three over pictures."""

        def statistic(weights: Weights) -> float | None:
            total = int(weights.sum())
            return int(counts @ weights) / total if total else None

        figure = bootstrapped(statistic, len(counts), self.rounds())
        return unless_alone(figure, len(counts)) if counts.any() else widened(figure, len(counts))

    def precision(self, counts: PictureCounts) -> Figure:
        """Share of detections that are right, without the ignored ones."""
        return self.share(counts.true_positives, counts.true_positives + counts.false_positives)

    def recall(self, counts: PictureCounts) -> Figure:
        """Share of judged objects that were found."""
        return self.share(counts.true_positives, counts.objects)

    def f1(self, counts: PictureCounts) -> Figure:
        """Harmonic mean of precision and recall."""
        return self.share(2 * counts.true_positives, counts.true_positives + counts.false_positives + counts.objects)

    def band_recall(
        self, pictures: Sequence[MatchedPicture], min_score: float, task: Task, band: SizeBand
    ) -> tuple[int, Figure]:
        """Number of judged objects in a size band, and the share of them that was found at the minimum score."""
        inside = []
        for each in pictures:
            sizes = each.labels.heights if task == "faces" else each.labels.areas
            inside.append(each.judged & (sizes >= band.low) & (sizes < band.high))
        objects = _count(inside)
        found = _count(each.matched_scores[chosen] >= min_score for each, chosen in zip(pictures, inside, strict=True))
        return int(objects.sum()), self.share(found, objects)


@dataclass(frozen=True, slots=True)
class ScoreSweep:
    """Precision, recall and F1 at minimum scores, each ``(n,)``."""

    scores: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def sweep_scores(pictures: Sequence[MatchedPicture], min_scores: NDArray[np.float64]) -> ScoreSweep:
    """Compute precision, recall and F1 at other minimum scores. Scores that nothing reaches are left out.

    Args:
        pictures: the pictures, with detections down to the lowest of the scores.
        min_scores: rising minimum scores.
    """
    scores = _concatenate([each.detections.scores for each in pictures])
    verdicts = _concatenate([each.verdicts for each in pictures])
    objects = sum(int(np.count_nonzero(each.judged)) for each in pictures)
    right = _count_reaching(scores[verdicts == TRUE_POSITIVE], min_scores)
    wrong = _count_reaching(scores[verdicts == FALSE_POSITIVE], min_scores)
    defined = (right + wrong > 0) & (objects > 0)
    right, wrong = right[defined], wrong[defined]
    return ScoreSweep(
        scores=min_scores[defined],
        precision=right / (right + wrong),
        recall=right / max(objects, 1),
        f1=2 * right / (right + wrong + objects),
    )


def _count_reaching(scores: NDArray[np.float64], min_scores: NDArray[np.float64]) -> NDArray[np.intp]:
    return len(scores) - np.searchsorted(np.sort(scores), min_scores)


def _concatenate(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *parts])
