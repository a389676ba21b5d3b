"""The detection report: figures by name, curves, tables, mistakes and the counts of each picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from facet.evaluation.datasets.detection_set import Task
from facet.evaluation.detection import average_precision
from facet.evaluation.detection.average_precision import AveragePrecision
from facet.evaluation.detection.figures import SIZE_BANDS, PictureBootstrap, count_at, sweep_scores
from facet.evaluation.detection.matching import FALSE_POSITIVE, MatchedPicture, match_detections
from facet.evaluation.detection.run import EvaluatedPicture
from facet.evaluation.intervals import Figure

MAX_DETECTIONS: dict[Task, int] = {"faces": 1000, "objects": 100}
"""Detections per class and picture that average precision uses; for objects as in COCO."""

_SWEEP_STEP = 0.01
_PIXEL_DIGITS = 1
_SCORE_DIGITS = 4

_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DetectionEvaluation:
    """A labelled set with its detections, matched.

    Attributes:
        task: faces or objects.
        class_names: class names of labels and detections.
        pictures: the pictures.
        iou: minimum IoU of a match.
        deployed_score: the server's own minimum score.
        min_score: minimum score of the run.
        seed: seed of the resampling.
    """

    task: Task
    class_names: tuple[str, ...]
    pictures: tuple[MatchedPicture, ...]
    iou: float
    deployed_score: float
    min_score: float
    seed: int


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """The parts of the report, as :func:`facet.evaluation.report.document.document` takes them."""

    figures: dict[str, Any]
    curves: dict[str, Any]
    tables: dict[str, list[_Row]]
    mistakes: dict[str, list[_Row]]
    items: list[_Row]


def evaluate(
    pictures: Sequence[EvaluatedPicture],
    *,
    task: Task,
    class_names: tuple[str, ...],
    iou: float,
    deployed_score: float,
    min_score: float,
    seed: int,
) -> DetectionEvaluation:
    """Match the detections of every picture with its labels; for the arguments see :class:`DetectionEvaluation`."""
    matched = tuple(match_detections(each.labels, each.detections, iou=iou) for each in pictures)
    return DetectionEvaluation(task, class_names, matched, iou, deployed_score, min_score, seed)


def detection_report(evaluation: DetectionEvaluation, *, mistakes: int) -> DetectionReport:
    """Build the report.

    Args:
        evaluation: the matched set.
        mistakes: number of the worst mistakes to list, of each kind.
    """
    bootstrap = PictureBootstrap([each.labels.image for each in evaluation.pictures], evaluation.seed)
    ap = average_precision.average_precision(
        [each.labels for each in evaluation.pictures],
        [each.detections for each in evaluation.pictures],
        len(evaluation.class_names),
        max_detections=MAX_DETECTIONS[evaluation.task],
        rounds=islice(bootstrap.rounds(), average_precision.ROUNDS),
    )
    return DetectionReport(
        figures=_figures(evaluation, bootstrap, ap),
        curves=_curves(evaluation, ap),
        tables=_tables(evaluation, bootstrap, ap),
        mistakes=_mistakes(evaluation, mistakes),
        items=[_item(each, evaluation.deployed_score) for each in evaluation.pictures],
    )


def refused_pictures(pictures: Sequence[EvaluatedPicture]) -> list[dict[str, str]]:
    """The refused pictures with their reasons."""
    return [{"image": each.labels.image, "reason": each.failure} for each in pictures if each.failure]


def _figures(evaluation: DetectionEvaluation, bootstrap: PictureBootstrap, ap: AveragePrecision) -> dict[str, Any]:
    task, score = evaluation.task, evaluation.deployed_score
    counts = count_at(evaluation.pictures, score)
    figures: dict[str, Any] = {
        "task": task,
        "precision": bootstrap.precision(counts),
        "recall": bootstrap.recall(counts),
        "f1": bootstrap.f1(counts),
        "ap50": ap.ap50,
        "ap50_95": ap.ap50_95,
    }
    objects: dict[str, int] = {task: int(counts.objects.sum())}
    for band in SIZE_BANDS[task]:
        in_band, figures[f"recall_{band.name}"] = bootstrap.band_recall(evaluation.pictures, score, task, band)
        objects[f"{task}_{band.name}"] = in_band
    return figures | {
        **objects,
        "true_positives": int(counts.true_positives.sum()),
        "false_positives": int(counts.false_positives.sum()),
        "ignored": int(counts.ignored.sum()),
        "false_positives_per_image": bootstrap.per_picture(counts.false_positives),
        "images": len(evaluation.pictures),
        "deployed_score": np.float32(score),
    }


def _curves(evaluation: DetectionEvaluation, ap: AveragePrecision) -> dict[str, Any]:
    """Precision over recall at the IoU of the evaluation and as in AP50, and the figures over minimum scores."""
    curves: dict[str, Any] = {}
    deployed = np.float32(evaluation.deployed_score)
    grid = np.arange(1, round(1 / _SWEEP_STEP)) * _SWEEP_STEP
    scores = np.unique(np.append(grid, deployed).astype(np.float32))
    scores = scores[scores >= np.float32(evaluation.min_score)]
    sweep = sweep_scores(evaluation.pictures, scores.astype(np.float64))
    if len(sweep.scores):
        label = f"at an IoU of {evaluation.iou:g}, as in precision and recall"
        curves["precision_recall"] = {"x": sweep.recall[::-1], "y": sweep.precision[::-1], "label": label}
        curves["score_sweep"] = {
            "x": sweep.scores.astype(np.float32),
            "series": {"precision": sweep.precision, "recall": sweep.recall, "f1": sweep.f1},
            "mark": deployed,
            "label": "minimum score",
        }
    if ap.precision is not None:
        label = "AP50" if evaluation.task == "faces" else "AP50: mean over classes"
        curves["precision_recall_ap50"] = {"x": average_precision.RECALLS.round(2), "y": ap.precision, "label": label}
    return curves


def _tables(
    evaluation: DetectionEvaluation, bootstrap: PictureBootstrap, ap: AveragePrecision
) -> dict[str, list[_Row]]:
    if evaluation.task == "faces":
        return {}
    rows = []
    for index, (name, (ap50, ap50_95)) in enumerate(zip(evaluation.class_names, ap.by_class, strict=True)):
        counts = count_at(evaluation.pictures, evaluation.deployed_score, index)
        figures: dict[str, Figure] = {
            "precision": bootstrap.precision(counts),
            "recall": bootstrap.recall(counts),
            "f1": bootstrap.f1(counts),
        }
        rows.append({"class": name, "objects": int(counts.objects.sum()), **figures, "ap50": ap50, "ap50_95": ap50_95})
    return {"classes": rows}


def _mistakes(evaluation: DetectionEvaluation, count: int) -> dict[str, list[_Row]]:
    """False positives by falling score and misses by falling area, with their boxes."""
    false_positives: list[tuple[float, _Row]] = []
    misses: list[tuple[float, _Row]] = []
    for each in evaluation.pictures:
        image, labels, found = each.labels.image, each.labels, each.detections
        for index in np.flatnonzero((each.verdicts == FALSE_POSITIVE) & (found.scores >= evaluation.deployed_score)):
            row = {"image": image, "box": _pixels(found.boxes[index]), "score": np.float32(found.scores[index])}
            row |= _class_of(evaluation, int(found.classes[index]))
            false_positives.append((-found.scores[index], row))
        for index in np.flatnonzero(each.judged & (each.matched_scores < evaluation.deployed_score)):
            box = labels.boxes[index]
            row = {"image": image, "box": _pixels(box), "height": round(box[3] - box[1], _PIXEL_DIGITS)}
            row |= _class_of(evaluation, int(labels.classes[index]))
            misses.append((-labels.areas[index], row))
    kinds = {"false_positives": false_positives, "misses": misses}
    return {kind: [row for _, row in sorted(rows, key=lambda each: each[0])[:count]] for kind, rows in kinds.items()}


def _class_of(evaluation: DetectionEvaluation, index: int) -> dict[str, str]:
    return {} if evaluation.task == "faces" else {"class": evaluation.class_names[index]}


def _pixels(box: Any) -> list[float]:
    return [round(float(edge), _PIXEL_DIGITS) for edge in box]


def _item(picture: MatchedPicture, deployed_score: float) -> _Row:
    counts = count_at([picture], deployed_score)
    true_positives, objects = int(counts.true_positives[0]), int(counts.objects[0])
    shown = picture.detections.scores >= deployed_score
    return {
        "image": picture.labels.image,
        "tp": true_positives,
        "fp": int(counts.false_positives[0]),
        "fn": objects - true_positives,
        "ignored": int(counts.ignored[0]),
        "faces": objects,
        "detections": [
            [round(float(score), _SCORE_DIGITS), int(verdict)]
            for score, verdict in zip(picture.detections.scores[shown], picture.verdicts[shown], strict=True)
        ],
    }
