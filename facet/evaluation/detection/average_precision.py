"""Average precision as in COCO: pycocotools matches, precision is accumulated as it does, with intervals."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.labelled import LabelledPicture
from facet.evaluation.detection.matching import Detections
from facet.evaluation.intervals import Figure, Weights, none, of_rounds, widened

ROUNDS = 200
"""Resamples for an interval; each costs a pass over all detections."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which precision is read, as in COCO."""
IOUS = np.linspace(0.5, 0.95, 10)
"""IoUs that AP50:95 averages over."""

_ALL_AREAS = (0.0, 1e10)
_IGNORED_AREA = 1e11


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """AP of a labelled set; with several classes the mean over those that have objects.

    Attributes:
        ap50: AP at an IoU of 0.5.
        ap50_95: mean AP over :data:`IOUS`.
        by_class: both figures for each class.
        precision: for each of :data:`RECALLS`, the best precision at an IoU of 0.5 and at that recall or more, averaged
            over the classes, float64 ``(101,)``; ``None`` without objects.
    """

    ap50: Figure
    ap50_95: Figure
    by_class: tuple[tuple[Figure, Figure], ...]
    precision: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class _ClassMatches:
    """The matches of one class, with the detections by falling score.

    Attributes:
        pictures: index of each detection's picture, intp ``(n,)``.
        hits: whether the detection is matched with a judged object, at each of :data:`IOUS`, bool ``(10, n)``.
        misses: whether it is a false positive, bool ``(10, n)``.
        objects: number of judged objects in each picture, int64 ``(pictures,)``.
    """

    pictures: NDArray[np.intp]
    hits: NDArray[np.bool_]
    misses: NDArray[np.bool_]
    objects: NDArray[np.int64]


def is_available() -> bool:
    """Whether pycocotools (extra "evaluation") is installed."""
    return importlib.util.find_spec("pycocotools") is not None


def average_precision(
    labels: Sequence[LabelledPicture],
    detections: Sequence[Detections],
    classes: int,
    *,
    max_detections: int,
    rounds: Iterable[Weights],
) -> AveragePrecision:
    """Compute AP50 and AP50:95.

    pycocotools matches detections with objects for each class and IoU. An ignored object absorbs one detection that
    would otherwise be a false positive, a crowd any number. The precision is then accumulated over recall as in
    ``COCOeval.accumulate``: once over all pictures, and once per round over resampled ones.

    Args:
        labels: the labelled objects of each picture.
        detections: the detections in each picture, down to scores far below the deployed minimum.
        classes: number of classes.
        max_detections: number of detections to use for each class and picture, those with the highest scores. COCO
            uses 100.
        rounds: resampled weights of the pictures; without rounds the figures have no interval.
    """
    matches = _match(labels, detections, classes, max_detections)
    all_once = np.ones(len(labels), np.int64)
    precisions = np.stack([_precision(each, all_once) for each in matches])
    aps = precisions.mean(axis=2)
    passes = [np.stack([_precision(each, weights).mean(axis=1) for each in matches]) for weights in rounds]
    resampled = np.stack(passes) if passes else np.empty((0, *aps.shape))
    pictures_of_any = int(np.count_nonzero(sum(each.objects for each in matches)))
    by_class = []
    for index, each in enumerate(matches):
        pictures = int(np.count_nonzero(each.objects))
        ap50 = _figure(aps[index, :1], resampled[:, index, :1], pictures)
        by_class.append((ap50, _figure(aps[index], resampled[:, index], pictures)))
    has_objects = ~np.isnan(aps[:, 0])
    return AveragePrecision(
        ap50=_figure(aps[:, 0], resampled[:, :, 0], pictures_of_any),
        ap50_95=_figure(aps.ravel(), resampled.reshape(len(resampled), aps.size), pictures_of_any),
        by_class=tuple(by_class),
        precision=precisions[has_objects, 0].mean(axis=0) if has_objects.any() else None,
    )


def _figure(values: NDArray[np.float64], resampled: NDArray[np.float64], pictures: int) -> Figure:
    """The mean of the defined values, with the interval of the same mean over the rounds ``(rounds, n)``.

    If it is 0 or 1, the other end is the rule of three over the pictures that have objects.
    """
    if np.isnan(values).all():
        return none("no labelled object")
    means = [float(np.nanmean(each)) for each in resampled if not np.isnan(each).all()]
    return widened(of_rounds(float(np.nanmean(values)), means), pictures)


def _precision(matches: _ClassMatches, weights: Weights) -> NDArray[np.float64]:
    """Precision at each of :data:`IOUS` and :data:`RECALLS`, ``(10, 101)``; NaN without objects."""
    objects = int(matches.objects @ weights)
    if not objects:
        return np.full((len(IOUS), len(RECALLS)), np.nan)
    counts = weights[matches.pictures]
    hits, misses = np.cumsum(matches.hits * counts, axis=1), np.cumsum(matches.misses * counts, axis=1)
    recall = hits / objects
    precision = hits / (hits + misses + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    read = np.zeros((len(IOUS), len(RECALLS)))
    for row, (recalls, bests) in enumerate(zip(recall, best, strict=True)):
        positions = np.searchsorted(recalls, RECALLS, side="left")
        reached = positions < len(bests)
        read[row, reached] = bests[positions[reached]]
    return read


def _match(
    labels: Sequence[LabelledPicture], detections: Sequence[Detections], classes: int, max_detections: int
) -> list[_ClassMatches]:
    matches = run_coco(labels, detections, classes, max_detections).evalImgs
    count = len(labels)
    return [_class_matches(matches[index * count : (index + 1) * count], max_detections) for index in range(classes)]


def _class_matches(pictures: Sequence[dict[str, Any] | None], max_detections: int) -> _ClassMatches:
    evaluated = [(index, each) for index, each in enumerate(pictures) if each is not None]
    nothing = np.empty((len(IOUS), 0), np.bool_)
    matched = [nothing, *(each["dtMatches"][:, :max_detections] != 0 for _, each in evaluated)]
    ignored = [nothing, *(each["dtIgnore"][:, :max_detections].astype(np.bool_) for _, each in evaluated)]
    scores = np.array([score for _, each in evaluated for score in each["dtScores"][:max_detections]])
    indices = np.array([index for index, each in evaluated for _ in each["dtScores"][:max_detections]], np.intp)
    objects = np.zeros(len(pictures), np.int64)
    for index, each in evaluated:
        objects[index] = np.count_nonzero(each["gtIgnore"] == 0)
    order = np.argsort(-scores, kind="stable")
    hits, judged = np.concatenate(matched, axis=1)[:, order], ~np.concatenate(ignored, axis=1)[:, order]
    return _ClassMatches(indices[order], hits & judged, ~hits & judged, objects)


def run_coco(
    labels: Sequence[LabelledPicture], detections: Sequence[Detections], classes: int, max_detections: int
) -> Any:
    """Run pycocotools' matching. Returns the ``COCOeval``; its ``evalImgs`` are ordered by class, then by picture."""
    from pycocotools.coco import COCO  # an extra, and slow to import
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for data_set in to_coco(labels, detections, classes):
            side = COCO()
            side.dataset = data_set
            side.createIndex()
            sides.append(side)
        evaluator = COCOeval(*sides, iouType="bbox")
        evaluator.params.maxDets = [max_detections]
        evaluator.params.areaRng = [list(_ALL_AREAS)]
        evaluator.params.areaRngLbl = ["all"]
        evaluator.evaluate()
    return evaluator


def to_coco(
    labels: Sequence[LabelledPicture], detections: Sequence[Detections], classes: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert labels and detections to COCO data sets, with images and categories numbered from 1 in their order.

    COCO has no ignored objects except crowds, so any other ignored object gets an area outside the evaluated range.
    """
    common = {
        "info": {},
        "images": [{"id": number} for number in range(1, len(labels) + 1)],
        "categories": [{"id": number, "name": str(number)} for number in range(1, classes + 1)],
    }
    objects = [
        {
            "image_id": number,
            "category_id": int(class_index) + 1,
            "bbox": _xywh(box),
            "area": _IGNORED_AREA if is_ignored and not is_crowd else min(float(area), _ALL_AREAS[1]),
            "iscrowd": int(is_crowd),
        }
        for number, each in enumerate(labels, 1)
        for box, class_index, is_ignored, is_crowd, area in zip(
            each.boxes, each.classes, each.ignored, each.crowds, each.areas, strict=True
        )
    ]
    detected = [
        {
            "image_id": number,
            "category_id": int(class_index) + 1,
            "bbox": _xywh(box),
            "area": float((box[2:] - box[:2]).prod()),
            "iscrowd": 0,
            "score": float(score),
        }
        for number, each in enumerate(detections, 1)
        for box, score, class_index in zip(each.boxes, each.scores, each.classes, strict=True)
    ]
    return common | {"annotations": _with_ids(objects)}, common | {"annotations": _with_ids(detected)}


def _xywh(box: NDArray[np.float64]) -> list[float]:
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def _with_ids(annotations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add ids from 1, because COCOeval uses 0 for "no match"."""
    return [{"id": number, **each} for number, each in enumerate(annotations, 1)]
