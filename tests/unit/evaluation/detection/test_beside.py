"""Two detectors on the same pictures, compared where both are equally precise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from facet.evaluation.datasets.labelled import labelled
from facet.evaluation.detection.beside import Comparison, compare_detectors
from facet.evaluation.detection.matching import Detections, MatchedPicture, match_detections

Box = tuple[float, float, float, float]

SMALL, LARGE, NOTHING = (0.0, 0.0, 25.0, 30.0), (200.0, 0.0, 280.0, 100.0), (400.0, 0.0, 430.0, 40.0)


def picture(at: int, found: Sequence[tuple[Box, float]]) -> MatchedPicture:
    """A picture with a small and a large face."""
    labels = labelled(f"{at}.jpg", [SMALL, LARGE], [0, 0])
    boxes = np.array([box for box, _ in found], np.float64).reshape(-1, 4)
    scores = np.array([score for _, score in found], np.float64)
    return match_detections(labels, Detections(boxes, scores, np.zeros(len(boxes), np.intp)), iou=0.5)


def compared(ours: list[list[tuple[Box, float]]], theirs: list[list[tuple[Box, float]]]) -> Comparison:
    first, second = ([picture(at, each) for at, each in enumerate(found)] for found in (ours, theirs))
    return compare_detectors(first, second, deployed_score=0.5, default_score=0.5, seed=0)


def value(comparison: Comparison, name: str) -> float | None:
    found = comparison.figures[name]
    return None if found is None else float(getattr(found, "value", found))


def test_the_other_detector_is_judged_at_its_lowest_score_with_our_precision() -> None:
    """We find both faces. They find the small one only below 0.5, where they are still right."""
    ours = [[(LARGE, 0.9), (SMALL, 0.6)]] * 8
    theirs = [[(LARGE, 0.9), (SMALL, 0.3), (NOTHING, 0.1)]] * 8
    comparison = compared(ours, theirs)
    assert value(comparison, "beside_score") == pytest.approx(0.3)
    assert value(comparison, "beside_precision") == 1.0
    assert value(comparison, "beside_recall") == 1.0
    assert value(comparison, "gain_recall_20_40") == 0.0
    at_default = {row["figure"]: row for row in comparison.rows if row["at"] == "their default score"}
    assert at_default["recall_20_40"]["scrfd640"].value == 0.0
    assert at_default["recall_20_40"]["facet"].value == 1.0
    assert (at_default["recall_80"]["faces"], at_default["precision"]["facet"].value) == (8, 1.0)


def test_a_gain_in_every_picture_is_certain_and_one_in_some_has_an_interval() -> None:
    theirs = [[(LARGE, 0.9)]] * 20
    always, sometimes = (
        [[(LARGE, 0.9), (SMALL, 0.9)]] * 20,
        [[(LARGE, 0.9), *[(SMALL, 0.9)] * (at % 2)] for at in range(20)],
    )
    certain = compared(always, theirs).figures["gain_recall_20_40"]
    assert (certain.value, certain.low, certain.high) == (1.0, 1.0, 1.0)
    uncertain = compared(sometimes, theirs).figures["gain_recall_20_40"]
    assert uncertain.value == 0.5
    assert 0 < uncertain.low < 0.5 < uncertain.high < 1
    assert compared(sometimes, theirs).figures["gain_recall_80"].value == 0.0


def test_detections_of_equal_score_are_let_in_together() -> None:
    """At their lowest score a right and a wrong detection tie: it is not precise enough, whichever comes first."""
    ours = [[(LARGE, 0.9)]] * 4
    theirs = [[(LARGE, 0.9), (SMALL, 0.4), (NOTHING, 0.4)]] * 4
    assert value(compared(ours, theirs), "beside_score") == pytest.approx(0.9)


def test_a_detector_that_is_never_as_precise_has_no_recall_to_compare() -> None:
    ours = [[(LARGE, 0.9)]] * 4
    theirs = [[(NOTHING, 0.9), (LARGE, 0.8)]] * 4
    comparison = compared(ours, theirs)
    assert comparison.figures["beside_score"] is None
    assert value_is_missing(comparison, "beside_recall")
    assert value_is_missing(comparison, "gain_recall_80")


def value_is_missing(comparison: Comparison, name: str) -> bool:
    figure = comparison.figures[name]
    return figure.value is None and bool(figure.note)
