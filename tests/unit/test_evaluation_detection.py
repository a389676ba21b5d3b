from __future__ import annotations

import numpy as np
import pytest

from evaluation.detection import Judged, judge, summarise
from evaluation.wider import LabelledPicture

FACE = (0.0, 0.0, 40.0, 40.0)
FAR = (500.0, 500.0, 540.0, 540.0)


def labelled(*boxes: tuple[float, ...], invalid: tuple[int, ...] = ()) -> LabelledPicture:
    flags = np.isin(np.arange(len(boxes)), invalid)
    return LabelledPicture("a.jpg", np.array(boxes, np.float64).reshape(-1, 4), flags)


def judged(labels: LabelledPicture, *detections: tuple[tuple[float, ...], float], iou: float = 0.4) -> Judged:
    boxes = np.array([box for box, _ in detections], np.float64).reshape(-1, 4)
    return judge(labels, boxes, np.array([score for _, score in detections], np.float64), iou=iou)


def test_a_face_is_taken_once_by_the_highest_score() -> None:
    better = (0.0, 0.0, 40.0, 39.0)
    result = judged(labelled(FACE), (FACE, 0.5), (better, 0.9))
    assert result.verdicts == ("true positive", "false positive")
    assert result.found.tolist() == [True]


def test_a_detection_takes_the_free_face_that_it_overlaps_most() -> None:
    beside = (10.0, 0.0, 50.0, 40.0)
    result = judged(labelled(FACE, beside), (FACE, 0.9), (FACE, 0.8))
    assert result.verdicts == ("true positive", "true positive")
    assert result.found.tolist() == [True, True]


@pytest.mark.parametrize(("iou", "verdict"), [(0.5, "true positive"), (0.500001, "false positive")])
def test_an_overlap_at_the_limit_matches(iou: float, verdict: str) -> None:
    assert judged(labelled(FACE), ((0.0, 0.0, 40.0, 20.0), 0.9), iou=iou).verdicts == (verdict,)


def test_faces_flagged_invalid_or_too_low_count_neither_way() -> None:
    low, invalid = (100.0, 0.0, 120.0, 19.0), (200.0, 0.0, 240.0, 40.0)
    labels = labelled(FACE, low, invalid, invalid=(2,))
    result = judged(labels, (low, 0.9), (invalid, 0.8), (invalid, 0.7), (FAR, 0.6))
    assert result.verdicts == ("ignored", "ignored", "ignored", "false positive")
    assert result.heights.tolist() == [40]
    assert result.found.tolist() == [False]


def test_a_face_that_counts_goes_before_one_that_is_ignored() -> None:
    result = judged(labelled(FACE, (0.0, 0.0, 40.0, 38.0), invalid=(1,)), ((0.0, 0.0, 40.0, 38.0), 0.9))
    assert result.verdicts == ("true positive",)


def test_labels_without_an_area_match_nothing() -> None:
    empty = (10.0, 10.0, 10.0, 10.0)
    assert judged(labelled(empty), (FACE, 0.9), (empty, 0.8)).verdicts == ("false positive", "false positive")


def test_pictures_without_faces_or_detections_are_judged() -> None:
    assert judged(labelled(), (FACE, 0.9)).verdicts == ("false positive",)
    nothing = judged(labelled(FACE))
    assert (nothing.verdicts, nothing.found.tolist()) == ((), [False])


def test_recall_is_told_by_height_half_open() -> None:
    heights = (19.9, 20.0, 39.9, 40.0, 79.9, 80.0, 500.0)
    boxes = [(1000.0 * i, 0.0, 1000.0 * i + 30, height) for i, height in enumerate(heights)]
    figures = summarise([judged(labelled(*boxes), *[(box, 0.9) for box in boxes[::2]])])
    assert [band.faces for band in figures.by_height] == [2, 2, 2]
    assert [band.found for band in figures.by_height] == [1, 1, 1]
    assert (figures.true_positives, figures.false_positives, figures.ignored) == (3, 0, 1)
    assert figures.precision == 1.0
    assert figures.recall.value == 0.5


def test_figures_of_nothing_are_unknown() -> None:
    figures = summarise([judged(labelled())])
    assert figures.precision is None
    assert [band.value for band in figures.by_height] == [None, None, None]
    assert figures.pictures == 1
    assert summarise([]).recall.value is None
