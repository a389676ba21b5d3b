"""Precision, recall and F1 with their intervals, by size and by least score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from facet.evaluation.datasets.labelled import labelled
from facet.evaluation.detection.figures import BANDS, Resampled, outcome, sweep
from facet.evaluation.detection.matching import Detected, Judged, judge

Box = tuple[float, float, float, float]


def place(index: int, height: float = 40.0) -> Box:
    return (1000.0 * index, 0.0, 1000.0 * index + 30, height)


def picture(
    objects: Sequence[Box], detections: Sequence[tuple[Box, float]], *, image: str = "a.jpg", ignored: bool = False
) -> Judged:
    labels = labelled(image, objects, [0] * len(objects), ignored=[ignored] * len(objects))
    boxes = np.array([box for box, _ in detections], np.float64).reshape(-1, 4)
    scores = np.array([score for _, score in detections], np.float64)
    return judge(labels, Detected(boxes, scores, np.zeros(len(boxes), np.intp)), iou=0.5)


def pictures() -> list[Judged]:
    """Each with two objects; the first is found at 0.9, in every other the second at 0.3; and a wrong one at 0.5."""
    shown = [[(place(0), 0.9), (place(2), 0.5), *([(place(1), 0.3)] if at % 2 else [])] for at in range(20)]
    return [picture([place(0), place(1)], each, image=f"{at}.jpg") for at, each in enumerate(shown)]


@pytest.mark.parametrize(("least", "counts"), [(0.95, (0, 0)), (0.9, (20, 0)), (0.5, (20, 20)), (0.3, (30, 20))])
def test_only_what_reaches_the_least_score_counts(least: float, counts: tuple[int, int]) -> None:
    at = outcome(pictures(), least)
    assert (at.true_positives.sum(), at.false_positives.sum()) == counts
    assert at.objects.sum() == 40


def test_figures_are_of_the_counts_and_lie_in_their_intervals() -> None:
    judged = pictures()
    resampled = Resampled([each.labels.image for each in judged], seed=0)
    at = outcome(judged, 0.3)
    values = [30 / 50, 30 / 40, 2 * 30 / (30 + 20 + 40)]
    for figure, value in zip([resampled.precision(at), resampled.recall(at), resampled.f1(at)], values, strict=True):
        assert figure.value == pytest.approx(value)
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < value < figure.high


def test_where_nothing_went_wrong_the_interval_says_how_few_pictures_there_were() -> None:
    judged = [picture([place(0)], [(place(0), 0.9)], image=f"{at}.jpg") for at in range(30)]
    precision = Resampled([each.labels.image for each in judged], seed=0).precision(outcome(judged, 0.5))
    assert (precision.value, precision.high) == (1.0, 1.0)
    assert precision.low == pytest.approx(0.9)


def test_figures_of_nothing_have_no_value_and_say_why() -> None:
    judged = [picture([place(0)], [], ignored=True)]
    resampled = Resampled(["a.jpg"], seed=0)
    at = outcome(judged, 0.5)
    for figure in (resampled.precision(at), resampled.recall(at), resampled.f1(at)):
        assert figure.value is None
        assert figure.note


def test_ignored_detections_are_counted_for_themselves() -> None:
    at = outcome([picture([place(0)], [(place(0), 0.9), (place(0), 0.8)], ignored=True)], 0.5)
    assert (at.true_positives.sum(), at.false_positives.sum(), at.ignored.sum(), at.objects.sum()) == (0, 0, 2, 0)


def test_recall_is_told_by_height_half_open() -> None:
    boxes = [place(at, height) for at, height in enumerate((20.0, 39.9, 40.0, 79.9, 80.0, 500.0))]
    judged = [picture(boxes, [(box, 0.9) for box in boxes[::2]])]
    resampled = Resampled(["a.jpg"], seed=0)
    told = [resampled.recall_of(judged, 0.5, "faces", band) for band in BANDS["faces"]]
    assert [(objects, figure.value) for objects, figure in told] == [(2, 0.5), (2, 0.5), (2, 0.5)]


def test_recall_of_objects_is_told_by_area_as_coco_does() -> None:
    boxes = [(1000.0 * at, 0.0, 1000.0 * at + side, side) for at, side in enumerate((31.0, 32.0, 95.0, 96.0))]
    judged = [picture(boxes, [(box, 0.9) for box in boxes])]
    told = [Resampled(["a.jpg"], seed=0).recall_of(judged, 0.5, "objects", band)[0] for band in BANDS["objects"]]
    assert told == [1, 2, 1]


def test_a_sweep_has_the_figures_of_each_least_score_and_ends_where_nothing_is_found() -> None:
    judged = pictures()
    swept = sweep(judged, np.array([0.1, 0.3, 0.4, 0.6, 0.95]))
    assert swept.scores.tolist() == [0.1, 0.3, 0.4, 0.6]
    for at, score in enumerate(swept.scores):
        there = outcome(judged, float(score))
        right, wrong = there.true_positives.sum(), there.false_positives.sum()
        assert swept.precision[at] == right / (right + wrong)
        assert swept.recall[at] == right / 40
        assert swept.f1[at] == 2 * right / (right + wrong + 40)


def test_false_positives_of_a_picture_have_an_interval_over_pictures() -> None:
    judged = pictures()
    resampled = Resampled([each.labels.image for each in judged], seed=0)
    figure = resampled.per_picture(np.arange(20) % 4)
    assert figure.value == 1.5
    assert figure.low is not None
    assert figure.high is not None
    assert 0.9 < figure.low < 1.5 < figure.high < 2.1
    none = resampled.per_picture(np.zeros(20, np.int64))
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(3 / 20)


def test_of_one_picture_there_is_no_interval() -> None:
    judged = [picture([place(0), place(1)], [(place(0), 0.9)])]
    resampled = Resampled([each.labels.image for each in judged], seed=0)
    at = outcome(judged, 0.5)
    for figure in (resampled.recall(at), resampled.precision(at), resampled.per_picture(at.false_positives)):
        assert figure.value is not None
        assert (figure.low, figure.high) == (None, None)
        assert "no interval" in figure.note
