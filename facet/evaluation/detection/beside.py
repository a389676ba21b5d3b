"""Two detectors on the same pictures: their recall at equal precision, by size, with paired intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.detection.figures import SIZE_BANDS, PictureBootstrap
from facet.evaluation.detection.matching import IGNORED, TRUE_POSITIVE, MatchedPicture
from facet.evaluation.intervals import Figure, Weights, bootstrapped_together, none

OURS, THEIRS, GAIN = "facet", "scrfd640", "gain"

_WHOLE = "all"
_NEVER_AS_PRECISE = "no minimum score gives this precision"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two detectors at equal precision.

    Attributes:
        figures: by name, at our deployed score: ``beside_precision``, ``beside_recall`` with its bands, and
            ``gain_recall`` with its bands, our recall minus theirs. ``beside_score`` is their minimum score.
        rows: a table of both operating points: our deployed score, and their default score.
    """

    figures: dict[str, Any]
    rows: list[dict[str, Any]]


def compare_detectors(
    ours: Sequence[MatchedPicture],
    theirs: Sequence[MatchedPicture],
    *,
    deployed_score: float,
    default_score: float,
    seed: int,
) -> Comparison:
    """Compare two detectors twice: at our deployed score and at their default score.

    One detector keeps its minimum score. That of the other is the lowest with at least the same precision, so that no
    recall is lost to it. Each round of the bootstrap draws the same pictures for both and finds that score anew.

    Args:
        ours: pictures with our detections, down to scores far below the deployed one.
        theirs: the same pictures with theirs.
        deployed_score: our minimum score.
        default_score: their minimum score.
        seed: seed of the resampling.
    """
    bootstrap = PictureBootstrap([each.labels.image for each in ours], seed)
    first, second = _Detector.of(ours), _Detector.of(theirs)

    def at_deployed(weights: Weights) -> Mapping[str, float | None]:
        precision = first.precision(weights, deployed_score)
        return _paired(weights, first, deployed_score, second, second.score_for(weights, precision))

    def at_default(weights: Weights) -> Mapping[str, float | None]:
        precision = second.precision(weights, default_score)
        return _paired(weights, first, first.score_for(weights, precision), second, default_score)

    deployed = _noted(bootstrapped_together(at_deployed, len(ours), bootstrap.rounds()), THEIRS)
    default = _noted(bootstrapped_together(at_default, len(ours), bootstrap.rounds()), OURS)
    all_once = np.ones(len(ours), np.int64)
    score = second.score_for(all_once, first.precision(all_once, deployed_score))
    figures: dict[str, Any] = {
        "beside_score": None if score is None else np.float32(score),
        "beside_precision": deployed[f"{THEIRS} precision"],
    }
    for band in first.bands:
        suffix = "" if band == _WHOLE else f"_{band}"
        figures[f"beside_recall{suffix}"] = deployed[f"{THEIRS} {band}"]
        figures[f"gain_recall{suffix}"] = deployed[f"{GAIN} {band}"]
    rows = [*_rows("our deployed score", first, deployed), *_rows("their default score", first, default)]
    return Comparison(figures, rows)


@dataclass(frozen=True, slots=True)
class _Detector:
    """The judged detections of a detector by falling score, and the labelled faces.

    Attributes:
        scores: float64 ``(n,)``.
        pictures: index of each detection's picture, intp ``(n,)``.
        hits: whether it matches a label, bool ``(n,)``.
        ends: positions behind which the score falls, intp: a minimum score lets in all detections of equal score.
        matched_scores: score of the detection on each judged label, minus infinity without one, float64 ``(m,)``.
        label_pictures: index of each judged label's picture, intp ``(m,)``.
        bands: which labels each size band holds, bool ``(m,)``.
    """

    scores: NDArray[np.float64]
    pictures: NDArray[np.intp]
    hits: NDArray[np.bool_]
    ends: NDArray[np.intp]
    matched_scores: NDArray[np.float64]
    label_pictures: NDArray[np.intp]
    bands: dict[str, NDArray[np.bool_]]

    @staticmethod
    def of(matched: Sequence[MatchedPicture]) -> _Detector:
        judged = [each.verdicts != IGNORED for each in matched]
        scores = _joined([each.detections.scores[chosen] for each, chosen in zip(matched, judged, strict=True)])
        hits = _joined([each.verdicts[chosen] == TRUE_POSITIVE for each, chosen in zip(matched, judged, strict=True)])
        pictures = np.repeat(np.arange(len(matched)), [np.count_nonzero(each) for each in judged])
        order = np.argsort(-scores, kind="stable")
        scores = scores[order]
        ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1) if len(scores) else np.empty(0, np.intp)
        heights = _joined([each.labels.heights[each.judged] for each in matched])
        bands = {_WHOLE: np.ones(len(heights), np.bool_)}
        bands |= {each.name: (heights >= each.low) & (heights < each.high) for each in SIZE_BANDS["faces"]}
        return _Detector(
            scores=scores,
            pictures=pictures[order],
            hits=hits[order].astype(np.bool_),
            ends=ends,
            matched_scores=_joined([each.matched_scores[each.judged] for each in matched]),
            label_pictures=np.repeat(np.arange(len(matched)), [np.count_nonzero(each.judged) for each in matched]),
            bands=bands,
        )

    def precision(self, weights: Weights, min_score: float) -> float | None:
        reaching = int(np.count_nonzero(self.scores >= min_score))
        counts = weights[self.pictures[:reaching]]
        total = int(counts.sum())
        return int(counts[self.hits[:reaching]].sum()) / total if total else None

    def score_for(self, weights: Weights, precision: float | None) -> float | None:
        """The lowest minimum score with at least this precision; ``None`` if none has it."""
        if precision is None:
            return None
        counts = weights[self.pictures]
        hits, total = np.cumsum(counts * self.hits)[self.ends], np.cumsum(counts)[self.ends]
        precise = np.flatnonzero((total > 0) & (hits >= precision * total))
        return float(self.scores[self.ends[precise[-1]]]) if len(precise) else None

    def recall(self, weights: Weights, min_score: float, band: str) -> float | None:
        counts = weights[self.label_pictures] * self.bands[band]
        total = int(counts.sum())
        return int(counts[self.matched_scores >= min_score].sum()) / total if total else None


def _paired(
    weights: Weights, ours: _Detector, our_score: float | None, theirs: _Detector, their_score: float | None
) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, detector, score in ((OURS, ours, our_score), (THEIRS, theirs, their_score)):
        values[f"{name} precision"] = None if score is None else detector.precision(weights, score)
        for band in detector.bands:
            values[f"{name} {band}"] = None if score is None else detector.recall(weights, score, band)
    for band in ours.bands:
        one, other = values[f"{OURS} {band}"], values[f"{THEIRS} {band}"]
        values[f"{GAIN} {band}"] = None if one is None or other is None else one - other
    return values


def _noted(figures: Mapping[str, Figure], varied: str) -> Mapping[str, Figure]:
    """The figures, with the reason if no minimum score of the detector that varies gives the precision."""
    if figures[f"{varied} precision"].value is not None:
        return figures
    return {name: none(_NEVER_AS_PRECISE) if figure.value is None else figure for name, figure in figures.items()}


def _rows(point: str, detector: _Detector, values: Mapping[str, Figure]) -> Iterator[dict[str, Any]]:
    for band, inside in detector.bands.items():
        figures = {name: values[f"{name} {band}"] for name in (OURS, THEIRS, GAIN)}
        figure = "recall" if band == _WHOLE else f"recall_{band}"
        yield {"at": point, "figure": figure, "faces": int(np.count_nonzero(inside)), **figures}
    figures = {name: values[f"{name} precision"] for name in (OURS, THEIRS)}
    yield {"at": point, "figure": "precision", "faces": None, **figures, GAIN: None}


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.empty(0), *parts])
