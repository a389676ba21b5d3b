"""Matching of detections with the labelled objects of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from facet.evaluation.datasets.labelled import LabelledPicture, labelled
from facet.evaluation.detection.matching import (
    FALSE_POSITIVE,
    IGNORED,
    TRUE_POSITIVE,
    Detections,
    MatchedPicture,
    match_detections,
)

FACE = (0.0, 0.0, 40.0, 40.0)
FAR = (500.0, 500.0, 540.0, 540.0)


def labels_of(*boxes: tuple[float, ...], ignored: Sequence[int] = (), classes: Sequence[int] = ()) -> LabelledPicture:
    flags = np.isin(np.arange(len(boxes)), ignored).tolist()
    return labelled("a.jpg", boxes, classes or [0] * len(boxes), ignored=flags)


def matched(
    labels: LabelledPicture,
    *detections: tuple[tuple[float, ...], float],
    iou: float = 0.4,
    classes: Sequence[int] = (),
) -> MatchedPicture:
    boxes = np.array([box for box, _ in detections], np.float64).reshape(-1, 4)
    scores = np.array([score for _, score in detections], np.float64)
    return match_detections(labels, Detections(boxes, scores, np.array(classes or [0] * len(boxes), np.intp)), iou=iou)


def verdicts(result: MatchedPicture) -> list[int]:
    return [int(each) for each in result.verdicts]


def found(result: MatchedPicture) -> list[bool]:
    return [bool(each) for each in np.isfinite(result.matched_scores)]


def test_an_object_is_matched_once_with_the_highest_scoring_detection() -> None:
    better = (0.0, 0.0, 40.0, 39.0)
    result = matched(labels_of(FACE), (FACE, 0.5), (better, 0.9))
    assert verdicts(result) == [TRUE_POSITIVE, FALSE_POSITIVE]
    assert result.detections.scores.tolist() == [0.9, 0.5]
    assert result.matched_scores.tolist() == [0.9]


def test_a_detection_takes_the_free_object_with_the_largest_overlap() -> None:
    beside = (10.0, 0.0, 50.0, 40.0)
    result = matched(labels_of(FACE, beside), (FACE, 0.9), (FACE, 0.8))
    assert verdicts(result) == [TRUE_POSITIVE, TRUE_POSITIVE]
    assert result.matched_scores.tolist() == [0.9, 0.8]


@pytest.mark.parametrize(("iou", "verdict"), [(0.5, TRUE_POSITIVE), (0.500001, FALSE_POSITIVE)])
def test_an_overlap_equal_to_the_minimum_iou_matches(iou: float, verdict: int) -> None:
    assert verdicts(matched(labels_of(FACE), ((0.0, 0.0, 40.0, 20.0), 0.9), iou=iou)) == [verdict]


def test_an_ignored_object_absorbs_any_number_of_detections() -> None:
    invalid = (200.0, 0.0, 240.0, 40.0)
    result = matched(labels_of(FACE, invalid, ignored=[1]), (invalid, 0.8), (invalid, 0.7), (FAR, 0.6))
    assert verdicts(result) == [IGNORED, IGNORED, FALSE_POSITIVE]
    assert result.judged.tolist() == [True, False]
    assert found(result) == [False, False]


def test_a_judged_object_takes_precedence_over_an_ignored_one() -> None:
    result = matched(labels_of(FACE, (0.0, 0.0, 40.0, 38.0), ignored=[1]), ((0.0, 0.0, 40.0, 38.0), 0.9))
    assert verdicts(result) == [TRUE_POSITIVE]


def test_a_detection_matches_a_crowd_by_the_share_of_the_detection_inside_it() -> None:
    inside, half_inside = (10.0, 10.0, 20.0, 20.0), (390.0, 0.0, 410.0, 10.0)
    region = labelled("a.jpg", [(0.0, 0.0, 400.0, 400.0)], [0], crowds=[True])
    assert region.ignored.tolist() == [True]
    assert verdicts(matched(region, (inside, 0.9), (half_inside, 0.8), iou=0.51)) == [IGNORED, FALSE_POSITIVE]


def test_an_object_matches_only_detections_of_its_class() -> None:
    result = matched(labels_of(FACE, FAR, classes=[0, 1]), (FACE, 0.9), (FAR, 0.8), classes=[1, 1])
    assert verdicts(result) == [FALSE_POSITIVE, TRUE_POSITIVE]
    assert found(result) == [False, True]


def test_labels_without_an_area_match_nothing() -> None:
    empty = (10.0, 10.0, 10.0, 10.0)
    assert verdicts(matched(labels_of(empty), (FACE, 0.9), (empty, 0.8))) == [FALSE_POSITIVE, FALSE_POSITIVE]


def test_pictures_without_objects_or_without_detections_are_matched() -> None:
    assert verdicts(matched(labels_of(), (FACE, 0.9))) == [FALSE_POSITIVE]
    nothing = match_detections(labels_of(FACE), Detections.none(), iou=0.4)
    assert (verdicts(nothing), found(nothing)) == ([], [False])


def test_detections_with_lower_scores_change_no_match_of_those_with_higher_scores() -> None:
    beside = (12.0, 0.0, 52.0, 40.0)
    sure = [(beside, 0.9), (FAR, 0.8)]
    alone, together = (
        matched(labels_of(FACE, beside), *sure),
        matched(labels_of(FACE, beside), *sure, (FACE, 0.1), (FAR, 0.05)),
    )
    assert verdicts(together)[:2] == verdicts(alone)
    assert (together.matched_scores >= 0.8).tolist() == found(alone)
