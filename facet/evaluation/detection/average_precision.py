"""Average precision as COCO has it: matched by pycocotools, accumulated as it does, with intervals."""

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
from facet.evaluation.detection.matching import Detected
from facet.evaluation.intervals import Figure, Weights, none, of_rounds, widened

ROUNDS = 200
"""Resamples for an interval; a round costs a pass over all detections."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Where precision is read, as in COCO."""
IOUS = np.linspace(0.5, 0.95, 10)
"""The overlaps over which AP50:95 is the mean."""

_EVERYTHING = (0.0, 1e10)
_OUTSIDE = 1e11


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """AP of a labelled set; of several classes the mean over those that have objects.

    Attributes:
        ap50: at an IoU of 0.5.
        ap50_95: the mean over :data:`IOUS`.
        by_class: the two for each class.
        precision: at an IoU of 0.5 and each of :data:`RECALLS`, the best of that recall or more; the mean over the
            classes, float64 ``(101,)``; ``None`` without objects.
    """

    ap50: Figure
    ap50_95: Figure
    by_class: tuple[tuple[Figure, Figure], ...]
    precision: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class _OfClass:
    """The detections of a class by falling score, and how many objects there are to find.

    Attributes:
        pictures: the picture of each detection, intp ``(n,)``.
        hits: whether it is matched with an object that counts, at each of :data:`IOUS`, bool ``(10, n)``.
        misses: whether it is matched with nothing, and counts, bool ``(10, n)``.
        objects: of each picture those that count, int64 ``(pictures,)``.
    """

    pictures: NDArray[np.intp]
    hits: NDArray[np.bool_]
    misses: NDArray[np.bool_]
    objects: NDArray[np.int64]


def is_available() -> bool:
    """Whether pycocotools is installed: the extra "evaluation"."""
    return importlib.util.find_spec("pycocotools") is not None


def average_precision(
    labels: Sequence[LabelledPicture],
    detected: Sequence[Detected],
    classes: int,
    *,
    most: int,
    rounds: Iterable[Weights],
) -> AveragePrecision:
    """AP50 and AP50:95.

    pycocotools matches, at each IoU and within each class, detections with objects; an ignored object absorbs one
    detection that it would otherwise be a false positive, a crowd any number. Precision over recall is then accumulated
    as ``COCOeval.accumulate`` does, once over all pictures, and once a round over resampled ones.

    Args:
        labels: what people marked in each picture.
        detected: what was found in each, down to scores far below those that are deployed.
        classes: how many there are.
        most: only so many detections of a class a picture, those of the highest scores. COCO's own is 100.
        rounds: how often each picture counts, round by round; where there are none, figures have no interval.
    """
    kinds = _matched(labels, detected, classes, most)
    everything = np.ones(len(labels), np.int64)
    precisions = np.stack([_precision(kind, everything) for kind in kinds])
    aps = precisions.mean(axis=2)
    passes = [np.stack([_precision(kind, w).mean(axis=1) for kind in kinds]) for w in rounds]
    drawn = np.stack(passes) if passes else np.empty((0, *aps.shape))
    of_class = [int(np.count_nonzero(kind.objects)) for kind in kinds]
    of_any = int(np.count_nonzero(sum(kind.objects for kind in kinds)))
    by_class = tuple(
        (_figure(aps[place, :1], drawn[:, place, :1], pictures), _figure(aps[place], drawn[:, place], pictures))
        for place, pictures in enumerate(of_class)
    )
    there = ~np.isnan(aps[:, 0])
    return AveragePrecision(
        ap50=_figure(aps[:, 0], drawn[:, :, 0], of_any),
        ap50_95=_figure(aps.ravel(), drawn.reshape(len(drawn), aps.size), of_any),
        by_class=by_class,
        precision=precisions[there, 0].mean(axis=0) if there.any() else None,
    )


def _figure(values: NDArray[np.float64], drawn: NDArray[np.float64], pictures: int) -> Figure:
    """The mean of values that are there, with the interval of the same mean over the rounds ``(rounds, n)``.

    Where it is 0 or 1 the other end is the rule of three over the pictures that have objects.
    """
    if np.isnan(values).all():
        return none("no labelled object")
    means = [float(np.nanmean(each)) for each in drawn if not np.isnan(each).all()]
    return widened(of_rounds(float(np.nanmean(values)), means), pictures)


def _precision(kind: _OfClass, weights: Weights) -> NDArray[np.float64]:
    """Precision at each of :data:`IOUS` and :data:`RECALLS`, ``(10, 101)``; NaN where there are no objects."""
    objects = int(kind.objects @ weights)
    if not objects:
        return np.full((len(IOUS), len(RECALLS)), np.nan)
    times = weights[kind.pictures]
    hits, misses = np.cumsum(kind.hits * times, axis=1), np.cumsum(kind.misses * times, axis=1)
    recall = hits / objects
    precision = hits / (hits + misses + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.zeros((len(IOUS), len(RECALLS)))
    for row, (recalls, bests) in enumerate(zip(recall, best, strict=True)):
        places = np.searchsorted(recalls, RECALLS, side="left")
        there = places < len(bests)
        reached[row, there] = bests[places[there]]
    return reached


def _matched(
    labels: Sequence[LabelledPicture], detected: Sequence[Detected], classes: int, most: int
) -> list[_OfClass]:
    matches = evaluated(labels, detected, classes, most).evalImgs
    return [_of_class(matches[place * len(labels) : (place + 1) * len(labels)], most) for place in range(classes)]


def _of_class(pictures: Sequence[dict[str, Any] | None], most: int) -> _OfClass:
    there = [(place, each) for place, each in enumerate(pictures) if each is not None]
    nothing = np.empty((len(IOUS), 0), np.bool_)
    matched = [nothing, *(each["dtMatches"][:, :most] != 0 for _, each in there)]
    ignored = [nothing, *(each["dtIgnore"][:, :most].astype(np.bool_) for _, each in there)]
    scores = np.array([score for _, each in there for score in each["dtScores"][:most]])
    of = np.array([place for place, each in there for _ in each["dtScores"][:most]], np.intp)
    objects = np.zeros(len(pictures), np.int64)
    for place, each in there:
        objects[place] = np.count_nonzero(each["gtIgnore"] == 0)
    order = np.argsort(-scores, kind="stable")
    hits, counts = np.concatenate(matched, axis=1)[:, order], ~np.concatenate(ignored, axis=1)[:, order]
    return _OfClass(of[order], hits & counts, ~hits & counts, objects)


def evaluated(labels: Sequence[LabelledPicture], detected: Sequence[Detected], classes: int, most: int) -> Any:
    """A ``pycocotools.cocoeval.COCOeval`` that has evaluated: its matches stand class by class, in it by picture."""
    from pycocotools.coco import COCO  # an extra, and heavy
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for data_set in as_coco(labels, detected, classes):
            side = COCO()
            side.dataset = data_set
            side.createIndex()
            sides.append(side)
        evaluator = COCOeval(*sides, iouType="bbox")
        evaluator.params.maxDets = [most]
        evaluator.params.areaRng = [list(_EVERYTHING)]
        evaluator.params.areaRngLbl = ["all"]
        evaluator.evaluate()
    return evaluator


def as_coco(
    labels: Sequence[LabelledPicture], detected: Sequence[Detected], classes: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Labels and detections as COCO's data sets: images and categories are numbered as they are here, from 1.

    COCO knows crowds, but no other object to be ignored: such a one gets an area outside of all that is asked for.
    """
    frame = {
        "info": {},
        "images": [{"id": place} for place in range(1, len(labels) + 1)],
        "categories": [{"id": place, "name": str(place)} for place in range(1, classes + 1)],
    }
    marked = [
        {
            "image_id": place,
            "category_id": int(of_class) + 1,
            "bbox": _box(box),
            "area": _OUTSIDE if is_ignored and not is_crowd else min(float(area), _EVERYTHING[1]),
            "iscrowd": int(is_crowd),
        }
        for place, each in enumerate(labels, 1)
        for box, of_class, is_ignored, is_crowd, area in zip(
            each.boxes, each.classes, each.ignored, each.crowds, each.areas, strict=True
        )
    ]
    found = [
        {
            "image_id": place,
            "category_id": int(of_class) + 1,
            "bbox": _box(box),
            "area": float((box[2:] - box[:2]).prod()),
            "iscrowd": 0,
            "score": float(score),
        }
        for place, each in enumerate(detected, 1)
        for box, score, of_class in zip(each.boxes, each.scores, each.classes, strict=True)
    ]
    return frame | {"annotations": _numbered(marked)}, frame | {"annotations": _numbered(found)}


def _box(box: NDArray[np.float64]) -> list[float]:
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def _numbered(annotations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """With ids from 1: COCOeval takes 0 for no match."""
    return [{"id": number, **each} for number, each in enumerate(annotations, 1)]
