"""The document of detection: figures by the names that they are known by, curves, mistakes and outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from facet.evaluation.datasets.detection_set import Task
from facet.evaluation.detection import average_precision
from facet.evaluation.detection.average_precision import AveragePrecision
from facet.evaluation.detection.figures import BANDS, Resampled, outcome, sweep
from facet.evaluation.detection.matching import FALSE_POSITIVE, Judged, judge
from facet.evaluation.detection.run import AskedPicture
from facet.evaluation.intervals import Figure

MOST: dict[Task, int] = {"faces": 1000, "objects": 100}
"""Detections of a class a picture that average precision looks at; of objects as in COCO."""

_STEP = 0.01
_PIXEL_DIGITS = 1
_SCORE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A labelled set after the run.

    Attributes:
        task: what was looked for.
        class_names: of the labels and detections.
        judged: the pictures, after the match.
        iou: the least overlap of it.
        deployed: the least score that the server answers by itself.
        min_score: the least score that it was asked for.
        seed: of the resampling.
    """

    task: Task
    class_names: tuple[str, ...]
    judged: tuple[Judged, ...]
    iou: float
    deployed: float
    min_score: float
    seed: int


@dataclass(frozen=True, slots=True)
class Parts:
    """What :func:`facet.evaluation.report.document.document` is made of."""

    figures: dict[str, Any]
    curves: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]
    mistakes: dict[str, list[dict[str, Any]]]
    items: list[dict[str, Any]]


def evaluated(
    asked: Sequence[AskedPicture],
    *,
    task: Task,
    class_names: tuple[str, ...],
    iou: float,
    deployed: float,
    min_score: float,
    seed: int,
) -> Evaluated:
    """Judge every picture; see :class:`Evaluated` and :func:`facet.evaluation.detection.matching.judge`."""
    judged = tuple(judge(each.labels, each.detected, iou=iou) for each in asked)
    return Evaluated(task, class_names, judged, iou, deployed, min_score, seed)


def parts(run: Evaluated, *, mistakes: int) -> Parts:
    """All that there is to tell of a run, with so many of the worst mistakes of each kind."""
    resampled = Resampled([each.labels.image for each in run.judged], run.seed)
    precision = average_precision.average_precision(
        [each.labels for each in run.judged],
        [each.detected for each in run.judged],
        len(run.class_names),
        most=MOST[run.task],
        rounds=islice(resampled.rounds(), average_precision.ROUNDS),
    )
    return Parts(
        figures=_figures(run, resampled, precision),
        curves=_curves(run, precision),
        tables=_tables(run, resampled, precision),
        mistakes=_mistakes(run, mistakes),
        items=[_item(each, run.deployed) for each in run.judged],
    )


def refused(asked: Sequence[AskedPicture]) -> list[dict[str, str]]:
    """The pictures that could not be judged, and why."""
    return [{"image": each.labels.image, "reason": each.failure} for each in asked if each.failure]


def _figures(run: Evaluated, resampled: Resampled, precision: AveragePrecision) -> dict[str, Any]:
    at = outcome(run.judged, run.deployed)
    told: dict[str, Any] = {
        "task": run.task,
        "precision": resampled.precision(at),
        "recall": resampled.recall(at),
        "f1": resampled.f1(at),
        "ap50": precision.ap50,
        "ap50_95": precision.ap50_95,
    }
    counts: dict[str, int] = {run.task: int(at.objects.sum())}
    for band in BANDS[run.task]:
        number, told[f"recall_{band.name}"] = resampled.recall_of(run.judged, run.deployed, run.task, band)
        counts[f"{run.task}_{band.name}"] = number
    return told | {
        **counts,
        "true_positives": int(at.true_positives.sum()),
        "false_positives": int(at.false_positives.sum()),
        "ignored": int(at.ignored.sum()),
        "false_positives_per_image": resampled.per_picture(at.false_positives),
        "images": len(run.judged),
        "deployed_score": np.float32(run.deployed),
    }


def _curves(run: Evaluated, precision: AveragePrecision) -> dict[str, Any]:
    """Precision over recall as matched at the IoU of the run, and as AP50 is the area of; figures over least scores."""
    curves: dict[str, Any] = {}
    marked = np.float32(run.deployed)
    least = np.unique(np.append(np.arange(1, round(1 / _STEP)) * _STEP, marked).astype(np.float32))
    swept = sweep(run.judged, least[least >= np.float32(run.min_score)].astype(np.float64))
    if len(swept.scores):
        matched = f"at an IoU of {run.iou:g}, as in precision and recall"
        curves["precision_recall"] = {"x": swept.recall[::-1], "y": swept.precision[::-1], "label": matched}
        curves["score_sweep"] = {
            "x": swept.scores.astype(np.float32),
            "series": {"precision": swept.precision, "recall": swept.recall, "f1": swept.f1},
            "mark": marked,
            "label": "least score",
        }
    if precision.precision is not None:
        label = "AP50" if run.task == "faces" else "AP50: the mean over classes"
        recalls = average_precision.RECALLS.round(2)
        curves["precision_recall_ap50"] = {"x": recalls, "y": precision.precision, "label": label}
    return curves


def _tables(run: Evaluated, resampled: Resampled, precision: AveragePrecision) -> dict[str, list[dict[str, Any]]]:
    if run.task == "faces":
        return {}
    rows = []
    for place, (name, (ap50, ap50_95)) in enumerate(zip(run.class_names, precision.by_class, strict=True)):
        at = outcome(run.judged, run.deployed, place)
        shares: dict[str, Figure] = {
            "precision": resampled.precision(at),
            "recall": resampled.recall(at),
            "f1": resampled.f1(at),
        }
        rows.append({"class": name, "objects": int(at.objects.sum()), **shares, "ap50": ap50, "ap50_95": ap50_95})
    return {"classes": rows}


def _mistakes(run: Evaluated, most: int) -> dict[str, list[dict[str, Any]]]:
    """False positives by falling score, misses by falling area; each with its place in the picture."""
    wrong: list[tuple[float, dict[str, Any]]] = []
    missed: list[tuple[float, dict[str, Any]]] = []
    for each in run.judged:
        found = each.detected
        for at in np.flatnonzero((each.verdicts == FALSE_POSITIVE) & (found.scores >= run.deployed)):
            row = {"image": each.labels.image, "box": _pixels(found.boxes[at]), "score": np.float32(found.scores[at])}
            wrong.append((-found.scores[at], row | _class(run, int(found.classes[at]))))
        for at in np.flatnonzero(each.counts & (each.found_at < run.deployed)):
            box = each.labels.boxes[at]
            row = {"image": each.labels.image, "box": _pixels(box), "height": round(box[3] - box[1], _PIXEL_DIGITS)}
            missed.append((-each.labels.areas[at], row | _class(run, int(each.labels.classes[at]))))
    kinds = {"false_positives": wrong, "misses": missed}
    return {kind: [row for _, row in sorted(rows, key=lambda each: each[0])[:most]] for kind, rows in kinds.items()}


def _class(run: Evaluated, place: int) -> dict[str, str]:
    return {} if run.task == "faces" else {"class": run.class_names[place]}


def _pixels(box: Any) -> list[float]:
    return [round(float(edge), _PIXEL_DIGITS) for edge in box]


def _item(judged: Judged, deployed: float) -> dict[str, Any]:
    at = outcome([judged], deployed)
    right, objects = int(at.true_positives[0]), int(at.objects[0])
    shown = judged.detected.scores >= deployed
    return {
        "image": judged.labels.image,
        "tp": right,
        "fp": int(at.false_positives[0]),
        "fn": objects - right,
        "ignored": int(at.ignored[0]),
        "faces": objects,
        "detections": [
            [round(float(score), _SCORE_DIGITS), int(verdict)]
            for score, verdict in zip(judged.detected.scores[shown], judged.verdicts[shown], strict=True)
        ],
    }
