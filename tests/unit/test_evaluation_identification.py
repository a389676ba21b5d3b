from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluation.identification import (
    LOWEST_SIMILARITY,
    OperatingPoint,
    Search,
    at_fpir,
    decisions,
    rank_1,
    worst_false_positives,
    worst_misses,
)


def mated(candidate: str | None, similarity: float = LOWEST_SIMILARITY, **fields: Any) -> Search:
    return Search("probe.jpg", "me", True, candidate, similarity, **fields)


def nonmated(similarity: float, **fields: Any) -> Search:
    return Search("probe.jpg", "stranger", False, "me", similarity, **fields)


def no_face(*, is_mated: bool) -> Search:
    return Search("blank.jpg", "me", is_mated, failure="FACE_NOT_FOUND")


def test_rank_1_asks_for_the_mate_and_not_for_the_similarity() -> None:
    assert rank_1([mated("me", -0.5), mated("other", 0.9), mated("me", 0.9), nonmated(0.9)]) == 2 / 3


def test_a_mated_probe_without_a_face_is_a_miss() -> None:
    searches = [mated("me", 0.9), no_face(is_mated=True), nonmated(0.1)]
    assert rank_1(searches) == 0.5
    assert at_fpir(searches, 0.0).fnir == 0.5
    assert decisions(searches).fnir == 1.0


def test_a_nonmated_probe_without_a_face_is_no_false_positive_and_counts() -> None:
    searches = [mated("me", 0.5), nonmated(0.9), *[no_face(is_mated=False)] * 9]
    assert at_fpir(searches, 0.1) == OperatingPoint(0.1, LOWEST_SIMILARITY, 0.0)
    assert decisions([*searches, nonmated(0.9, matched=True)]).fpir == 1 / 11


def test_the_threshold_is_the_smallest_that_keeps_to_the_rate() -> None:
    similarities = np.linspace(0.1, 1.0, 10, dtype=np.float32)
    searches = [nonmated(float(similarity)) for similarity in similarities]
    for allowed in range(10):
        threshold = at_fpir(searches, allowed / 10).threshold
        assert threshold is not None
        assert (similarities >= threshold).sum() == allowed
        assert (similarities >= np.nextafter(np.float32(threshold), np.float32(-1))).sum() == allowed + 1


def test_probes_that_tie_at_the_threshold_are_all_kept_out() -> None:
    searches = [nonmated(0.5), nonmated(0.5), nonmated(0.5), nonmated(0.25), mated("me", 0.5), mated("me", 0.75)]
    point = at_fpir(searches, 0.5)
    assert point.threshold == float(np.nextafter(np.float32(0.5), np.float32(1)))
    assert point.fnir == 0.5


def test_a_mate_at_the_threshold_is_found() -> None:
    above = float(np.nextafter(np.float32(0.25), np.float32(1)))
    assert at_fpir([nonmated(0.25), mated("me", above)], 0.0).fnir == 0.0
    assert at_fpir([nonmated(0.25), mated("me", 0.25)], 0.0).fnir == 1.0


def test_the_right_subject_must_be_the_best_candidate() -> None:
    assert at_fpir([nonmated(0.1), mated("other", 0.9)], 0.0).fnir == 1.0


@pytest.mark.parametrize(
    ("target", "count", "allowed"), [(0.29, 100, 29), (0.1, 30, 3), (0.01, 1012, 10), (0.01, 99, 0)]
)
def test_a_share_of_the_probes_is_counted_without_rounding_errors(target: float, count: int, allowed: int) -> None:
    similarities = np.linspace(0, 0.9, count, dtype=np.float32)
    threshold = at_fpir([nonmated(float(each)) for each in similarities], target).threshold
    assert threshold is not None
    assert (similarities >= threshold).sum() == allowed


def test_figures_of_nothing_are_unknown() -> None:
    assert rank_1([nonmated(0.1)]) is None
    assert at_fpir([mated("me", 0.9)], 0.1) == OperatingPoint(0.1, None, None)
    assert at_fpir([nonmated(0.5)], 0.0).fnir is None
    nothing = decisions([])
    assert (nothing.fpir, nothing.fnir, nothing.precision, nothing.recall) == (None, None, None, None)


def test_decisions_are_those_that_the_service_made() -> None:
    searches = [
        mated("me", 0.9, matched=True),
        mated("me", 0.8),
        mated("other", 0.7, matched=True),
        nonmated(0.6, matched=True),
        nonmated(0.95),
    ]
    figures = decisions(searches)
    assert figures.fpir == 0.5
    assert figures.recall == pytest.approx(1 / 3)
    assert figures.fnir == pytest.approx(2 / 3)
    assert figures.precision == pytest.approx(1 / 3)


def test_the_worst_mistakes_come_first() -> None:
    stranger, wrong = nonmated(0.9, matched=True), mated("other", 0.95, matched=True)
    low, lower, blank = mated("me", 0.2), mated("other", 0.1), no_face(is_mated=True)
    searches = [low, stranger, mated("me", 0.99, matched=True), blank, wrong, lower, nonmated(0.1)]
    assert worst_false_positives(searches, 5) == [wrong, stranger]
    assert worst_false_positives(searches, 1) == [wrong]
    assert worst_misses(searches, 5) == [blank, lower, low]
