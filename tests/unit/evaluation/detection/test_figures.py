"""Precision, recall and F1 with their intervals, by size and by minimum score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from facet.evaluation.datasets.labelled import labelled
from facet.evaluation.detection.figures import SIZE_BANDS, PictureBootstrap, count_at, sweep_scores
from facet.evaluation.detection.matching import Detections, MatchedPicture, match_detections

Box = tuple[float, float, float, float]


def place(index: int, height: float = 40.0) -> Box:
    return (1000.0 * index, 0.0, 1000.0 * index + 30, height)


def picture(
    objects: Sequence[Box], detections: Sequence[tuple[Box, float]], *, image: str = "a.jpg", ignored: bool = False
) -> MatchedPicture:
    labels = labelled(image, objects, [0] * len(objects), ignored=[ignored] * len(objects))
    boxes = np.array([box for box, _ in detections], np.float64).reshape(-1, 4)
    scores = np.array([score for _, score in detections], np.float64)
    return match_detections(labels, Detections(boxes, scores, np.zeros(len(boxes), np.intp)), iou=0.5)


def pictures() -> list[MatchedPicture]:
    """Two objects each: the first found at 0.9, the second at 0.3 in every other picture; a false positive at 0.5."""
    shown = [[(place(0), 0.9), (place(2), 0.5), *([(place(1), 0.3)] if at % 2 else [])] for at in range(20)]
    return [picture([place(0), place(1)], each, image=f"{at}.jpg") for at, each in enumerate(shown)]


@pytest.mark.parametrize(("min_score", "expected"), [(0.95, (0, 0)), (0.9, (20, 0)), (0.5, (20, 20)), (0.3, (30, 20))])
def test_only_detections_that_reach_the_minimum_score_count(min_score: float, expected: tuple[int, int]) -> None:
    counts = count_at(pictures(), min_score)
    assert (counts.true_positives.sum(), counts.false_positives.sum()) == expected
    assert counts.objects.sum() == 40


def test_figures_follow_from_the_counts_and_lie_in_their_intervals() -> None:
    matched = pictures()
    bootstrap = PictureBootstrap([each.labels.image for each in matched], seed=0)
    counts = count_at(matched, 0.3)
    values = [30 / 50, 30 / 40, 2 * 30 / (30 + 20 + 40)]
    for figure, value in zip(
        [bootstrap.precision(counts), bootstrap.recall(counts), bootstrap.f1(counts)], values, strict=True
    ):
        assert figure.value == pytest.approx(value)
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < value < figure.high


def test_without_errors_the_interval_is_the_rule_of_three_over_pictures() -> None:
    matched = [picture([place(0)], [(place(0), 0.9)], image=f"{at}.jpg") for at in range(30)]
    precision = PictureBootstrap([each.labels.image for each in matched], seed=0).precision(count_at(matched, 0.5))
    assert (precision.value, precision.high) == (1.0, 1.0)
    assert precision.low == pytest.approx(0.9)


def test_figures_without_objects_or_detections_have_a_note_instead_of_a_value() -> None:
    matched = [picture([place(0)], [], ignored=True)]
    bootstrap = PictureBootstrap(["a.jpg"], seed=0)
    counts = count_at(matched, 0.5)
    for figure in (bootstrap.precision(counts), bootstrap.recall(counts), bootstrap.f1(counts)):
        assert figure.value is None
        assert figure.note


def test_detections_on_ignored_objects_are_counted_separately() -> None:
    counts = count_at([picture([place(0)], [(place(0), 0.9), (place(0), 0.8)], ignored=True)], 0.5)
    assert (counts.true_positives.sum(), counts.false_positives.sum()) == (0, 0)
    assert (counts.ignored.sum(), counts.objects.sum()) == (2, 0)


def test_face_recall_is_grouped_by_height_in_half_open_bands() -> None:
    boxes = [place(at, height) for at, height in enumerate((20.0, 39.9, 40.0, 79.9, 80.0, 500.0))]
    matched = [picture(boxes, [(box, 0.9) for box in boxes[::2]])]
    bootstrap = PictureBootstrap(["a.jpg"], seed=0)
    recalls = [bootstrap.band_recall(matched, 0.5, "faces", band) for band in SIZE_BANDS["faces"]]
    assert [(objects, figure.value) for objects, figure in recalls] == [(2, 0.5), (2, 0.5), (2, 0.5)]


def test_object_recall_is_grouped_by_area_as_in_coco() -> None:
    boxes = [(1000.0 * at, 0.0, 1000.0 * at + side, side) for at, side in enumerate((31.0, 32.0, 95.0, 96.0))]
    matched = [picture(boxes, [(box, 0.9) for box in boxes])]
    bootstrap = PictureBootstrap(["a.jpg"], seed=0)
    assert [bootstrap.band_recall(matched, 0.5, "objects", band)[0] for band in SIZE_BANDS["objects"]] == [1, 2, 1]


def test_a_sweep_equals_the_figures_at_each_score_and_ends_at_the_highest_detection() -> None:
    matched = pictures()
    sweep = sweep_scores(matched, np.array([0.1, 0.3, 0.4, 0.6, 0.95]))
    assert sweep.scores.tolist() == [0.1, 0.3, 0.4, 0.6]
    for at, score in enumerate(sweep.scores):
        counts = count_at(matched, float(score))
        right, wrong = counts.true_positives.sum(), counts.false_positives.sum()
        assert sweep.precision[at] == right / (right + wrong)
        assert sweep.recall[at] == right / 40
        assert sweep.f1[at] == 2 * right / (right + wrong + 40)


def test_false_positives_per_picture_have_an_interval_over_pictures() -> None:
    matched = pictures()
    bootstrap = PictureBootstrap([each.labels.image for each in matched], seed=0)
    figure = bootstrap.per_picture(np.arange(20) % 4)
    assert figure.value == 1.5
    assert figure.low is not None
    assert figure.high is not None
    assert 0.9 < figure.low < 1.5 < figure.high < 2.1
    none = bootstrap.per_picture(np.zeros(20, np.int64))
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(3 / 20)


def test_a_single_picture_has_no_interval() -> None:
    matched = [picture([place(0), place(1)], [(place(0), 0.9)])]
    bootstrap = PictureBootstrap([each.labels.image for each in matched], seed=0)
    counts = count_at(matched, 0.5)
    for figure in (
        bootstrap.recall(counts),
        bootstrap.precision(counts),
        bootstrap.per_picture(counts.false_positives),
    ):
        assert figure.value is not None
        assert (figure.low, figure.high) == (None, None)
        assert "no interval" in figure.note
