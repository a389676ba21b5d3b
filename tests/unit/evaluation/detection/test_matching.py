"""Detections and labelled objects of a picture, matched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from facet.evaluation.datasets.labelled import LabelledPicture, labelled
from facet.evaluation.detection.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, Detected, Judged, judge

FACE = (0.0, 0.0, 40.0, 40.0)
FAR = (500.0, 500.0, 540.0, 540.0)


def marked(*boxes: tuple[float, ...], ignored: Sequence[int] = (), classes: Sequence[int] = ()) -> LabelledPicture:
    flags = np.isin(np.arange(len(boxes)), ignored).tolist()
    return labelled("a.jpg", boxes, classes or [0] * len(boxes), ignored=flags)


def judged(
    labels: LabelledPicture,
    *detections: tuple[tuple[float, ...], float],
    iou: float = 0.4,
    classes: Sequence[int] = (),
) -> Judged:
    boxes = np.array([box for box, _ in detections], np.float64).reshape(-1, 4)
    scores = np.array([score for _, score in detections], np.float64)
    return judge(labels, Detected(boxes, scores, np.array(classes or [0] * len(boxes), np.intp)), iou=iou)


def verdicts(result: Judged) -> list[int]:
    return [int(each) for each in result.verdicts]


def found(result: Judged) -> list[bool]:
    return [bool(each) for each in np.isfinite(result.found_at)]


def test_an_object_is_taken_once_by_the_highest_score() -> None:
    better = (0.0, 0.0, 40.0, 39.0)
    result = judged(marked(FACE), (FACE, 0.5), (better, 0.9))
    assert verdicts(result) == [TRUE_POSITIVE, FALSE_POSITIVE]
    assert result.detected.scores.tolist() == [0.9, 0.5]
    assert result.found_at.tolist() == [0.9]


def test_a_detection_takes_the_free_object_that_it_overlaps_most() -> None:
    beside = (10.0, 0.0, 50.0, 40.0)
    result = judged(marked(FACE, beside), (FACE, 0.9), (FACE, 0.8))
    assert verdicts(result) == [TRUE_POSITIVE, TRUE_POSITIVE]
    assert result.found_at.tolist() == [0.9, 0.8]


@pytest.mark.parametrize(("iou", "verdict"), [(0.5, TRUE_POSITIVE), (0.500001, FALSE_POSITIVE)])
def test_an_overlap_at_the_limit_matches(iou: float, verdict: int) -> None:
    assert verdicts(judged(marked(FACE), ((0.0, 0.0, 40.0, 20.0), 0.9), iou=iou)) == [verdict]


def test_ignored_objects_count_neither_way_however_many_detections_are_on_them() -> None:
    invalid = (200.0, 0.0, 240.0, 40.0)
    result = judged(marked(FACE, invalid, ignored=[1]), (invalid, 0.8), (invalid, 0.7), (FAR, 0.6))
    assert verdicts(result) == [IGNORED, IGNORED, FALSE_POSITIVE]
    assert result.counts.tolist() == [True, False]
    assert found(result) == [False, False]


def test_an_object_that_counts_goes_before_one_that_is_ignored() -> None:
    result = judged(marked(FACE, (0.0, 0.0, 40.0, 38.0), ignored=[1]), ((0.0, 0.0, 40.0, 38.0), 0.9))
    assert verdicts(result) == [TRUE_POSITIVE]


def test_a_detection_lies_on_a_crowd_by_the_share_of_it_that_is_inside() -> None:
    inside, half_inside = (10.0, 10.0, 20.0, 20.0), (390.0, 0.0, 410.0, 10.0)
    region = labelled("a.jpg", [(0.0, 0.0, 400.0, 400.0)], [0], crowds=[True])
    assert region.ignored.tolist() == [True]
    assert verdicts(judged(region, (inside, 0.9), (half_inside, 0.8), iou=0.51)) == [IGNORED, FALSE_POSITIVE]


def test_an_object_is_found_only_by_a_detection_of_its_class() -> None:
    result = judged(marked(FACE, FAR, classes=[0, 1]), (FACE, 0.9), (FAR, 0.8), classes=[1, 1])
    assert verdicts(result) == [FALSE_POSITIVE, TRUE_POSITIVE]
    assert found(result) == [False, True]


def test_labels_without_an_area_match_nothing() -> None:
    empty = (10.0, 10.0, 10.0, 10.0)
    assert verdicts(judged(marked(empty), (FACE, 0.9), (empty, 0.8))) == [FALSE_POSITIVE, FALSE_POSITIVE]


def test_pictures_without_objects_or_detections_are_judged() -> None:
    assert verdicts(judged(marked(), (FACE, 0.9))) == [FALSE_POSITIVE]
    nothing = judge(marked(FACE), Detected.nothing(), iou=0.4)
    assert (verdicts(nothing), found(nothing)) == ([], [False])


def test_fainter_detections_take_nothing_from_surer_ones() -> None:
    beside = (12.0, 0.0, 52.0, 40.0)
    sure = [(beside, 0.9), (FAR, 0.8)]
    alone, together = judged(marked(FACE, beside), *sure), judged(marked(FACE, beside), *sure, (FACE, 0.1), (FAR, 0.05))
    assert verdicts(together)[:2] == verdicts(alone)
    assert (together.found_at >= 0.8).tolist() == found(alone)
