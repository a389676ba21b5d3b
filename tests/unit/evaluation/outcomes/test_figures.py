"""Figures of production from what was said about answers: which answers count for which rate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from facet.evaluation.intervals import Figure
from facet.evaluation.outcomes.figures import TOO_FEW, by_model, by_source_and_month, figures, worst
from facet.evaluation.report.html import formatted
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.gallery_service_pb2 import TRUTH_NOBODY, TRUTH_SUBJECT, TRUTH_UNSPECIFIED, Outcome, Truth

MATCH, UNKNOWN = pb.DECISION_MATCH, pb.DECISION_UNKNOWN


def outcome(
    decision: pb.Decision.ValueType,
    is_right: bool,
    truth: Truth.ValueType = TRUTH_UNSPECIFIED,
    *,
    number: int = 0,
    share: float | None = None,
    similarity: float = 0.5,
    month: int = 5,
    source: str = "door",
) -> Outcome:
    said = Outcome(
        decision=decision,
        verdict=pb.VERDICT_RIGHT if is_right else pb.VERDICT_WRONG,
        truth=truth,
        subject_id=f"s{number}",
        true_subject_id=f"t{number}" if truth == TRUTH_SUBJECT else "",
        similarity=similarity,
        review_share=share,
        source=source,
    )
    said.answer_time.FromDatetime(datetime(2026, month, 3, tzinfo=UTC))
    return said


def repeated(count: int, *what: Any, **named: Any) -> list[Outcome]:
    """Outcomes about different people."""
    return [outcome(*what, number=number, **named) for number in range(count)]


def test_each_rate_counts_the_answers_that_it_is_about() -> None:
    said = [
        *repeated(80, MATCH, True),
        *repeated(4, MATCH, False, TRUTH_SUBJECT),
        *repeated(3, MATCH, False, TRUTH_NOBODY),
        *repeated(13, MATCH, False),
        *repeated(17, UNKNOWN, True),
        *repeated(16, UNKNOWN, False),
    ]
    found = figures(said, seed=0)
    assert found["precision"].value == pytest.approx(80 / 100)
    assert found["recall"].value == pytest.approx((80 / (80 + 4 + 16) + 80 / (80 + 4 + 16 + 13)) / 2)
    assert found["fnir"].value == pytest.approx((20 / 100 + 33 / 113) / 2)
    assert found["fpir"].value == pytest.approx((3 / (3 + 17) + 16 / (16 + 17)) / 2)
    assert (found["reported"], found["wrong_matches"], found["wrong_matches_without_truth"]) == (133, 20, 13)


def test_wrong_matches_without_a_truth_make_rates_less_certain_and_not_better() -> None:
    """Their people are strangers in truth, or enrolled: the interval covers both."""
    others = [*repeated(160, MATCH, True, share=0.1), *repeated(180, UNKNOWN, True, share=0.1)]
    untold = figures([*others, *repeated(40, MATCH, False, share=0.1)], seed=0)
    assert "40 wrong matches have no truth" in untold["reviewed_fpir"].note
    for truth, name in ((TRUTH_NOBODY, "fpir"), (TRUTH_SUBJECT, "recall"), (TRUTH_SUBJECT, "fnir")):
        told = figures([*others, *repeated(40, MATCH, False, truth, share=0.1)], seed=0)[f"reviewed_{name}"]
        bounds = untold[f"reviewed_{name}"]
        assert told.note == ""
        assert bounds.low <= told.value <= bounds.high
    assert untold["reviewed_precision"].value == pytest.approx(0.8)
    assert untold["reviewed_precision"].note == ""


def test_a_rate_that_may_be_about_nobody_has_no_value() -> None:
    found = figures([*repeated(9, MATCH, True), *repeated(2, MATCH, False)], seed=0)
    assert (found["fpir"].value, found["recall"].low is None) == (None, False)


def test_every_rate_has_an_interval_around_it() -> None:
    found = figures([*repeated(90, MATCH, True), *repeated(10, UNKNOWN, False)], seed=0)
    precision, recall = found["precision"], found["recall"]
    assert (precision.value, precision.high) == (1.0, 1.0)
    assert precision.low == pytest.approx(1 - 3 / 90)
    assert recall.value == pytest.approx(0.9)
    assert recall.low < recall.value < recall.high
    assert found["fpir"] == Figure(None, None, None, "no such answers were reported")


def test_answers_about_one_person_are_not_taken_for_independent() -> None:
    apart = figures([*repeated(50, MATCH, True), *repeated(50, UNKNOWN, False, TRUTH_SUBJECT)], seed=0)["recall"]
    few = [outcome(MATCH, True, number=number % 3) for number in range(50)]
    few += [outcome(UNKNOWN, False, TRUTH_SUBJECT, number=number % 3) for number in range(50)]
    together = figures(few, seed=0)["recall"]
    assert together.value == apart.value
    assert together.high - together.low > apart.high - apart.low


def test_the_review_is_not_biased_by_what_people_report_by_themselves() -> None:
    said = [*repeated(95, MATCH, True, share=0.1), *repeated(5, MATCH, False, share=0.1), *repeated(60, MATCH, False)]
    found = figures(said, seed=0)
    assert found["reviewed_precision"].value == pytest.approx(0.95)
    assert found["precision"].value == pytest.approx(95 / 160)
    assert found["reported_of_review"] == 100
    assert "review_share" in figures(repeated(3, MATCH, True), seed=0)["reviewed_precision"].note


def test_answers_of_a_time_with_another_share_are_weighted() -> None:
    """Half of the answers were drawn in a bad month, a twentieth in a good one that had ten times as many."""
    bad = [*repeated(50, MATCH, True, share=0.5), *repeated(50, MATCH, False, share=0.5)]
    good = [outcome(MATCH, True, number=100 + number, share=0.05) for number in range(100)]
    figure = figures([*bad, *good], seed=0)["reviewed_precision"]
    assert figure.value == pytest.approx((100 + 2000) / 2200)
    assert figure.low < figure.value < figure.high < 1


def test_outcomes_are_told_by_source_and_month() -> None:
    said = [
        *repeated(4, MATCH, True, month=4),
        *repeated(6, MATCH, False, month=5),
        *repeated(5, MATCH, True, month=5, source="gate"),
    ]
    rows = by_source_and_month(said, seed=0)
    found = [(row["source"], row["month"], row["reported"], row["precision"].value) for row in rows]
    assert found == [("door", "2026-04", 4, 1.0), ("door", "2026-05", 6, 0.0), ("gate", "2026-05", 5, 1.0)]


def test_answers_of_each_model_are_told_apart_and_the_one_that_searches_comes_first() -> None:
    said = [*repeated(4, MATCH, True), *repeated(5, MATCH, False), *repeated(6, MATCH, True), outcome(MATCH, True)]
    for number, each in enumerate(said):
        model = ("old", "new", "", "unnamed")[(number >= 4) + (number >= 9) + (number >= 15)]
        each.contract, each.model = model and f"{model} contract", "" if model == "unnamed" else model
    rows = by_model(said, "new contract", seed=0)
    assert [(row["model"], row["searches"], row["reported"], row["precision"].value) for row in rows] == [
        ("new", True, 5, 0.0),
        ("not known", False, 6, 1.0),
        ("old", False, 4, 1.0),
        ("unnamed ", False, 1, None),
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_a_rate_of_so_few_reports_that_it_may_be_anything_has_no_value(count: int) -> None:
    found = figures(repeated(count, MATCH, True), seed=0)
    assert found["precision"] == Figure(None, None, None, TOO_FEW)
    assert figures(repeated(4, MATCH, True), seed=0)["precision"].value == 1.0
    assert formatted(found["precision"].as_json()) == "too few reports"


def test_the_worst_mistakes_are_confident_ones_and_name_nobody_who_is_forgotten() -> None:
    said = [
        outcome(MATCH, False, TRUTH_SUBJECT, number=1, similarity=0.5),
        outcome(MATCH, False, TRUTH_NOBODY, number=2, similarity=0.75),
        outcome(MATCH, True, number=3, similarity=1.0),
        outcome(UNKNOWN, False, TRUTH_SUBJECT, number=4, similarity=0.25),
        outcome(UNKNOWN, False, TRUTH_SUBJECT, number=5, similarity=0.125),
        Outcome(decision=MATCH, verdict=pb.VERDICT_WRONG, names_nobody=True),
    ]
    found = worst(said, 5)
    assert [(each["candidate"], each["truth"]) for each in found["wrong_matches"]] == [
        ("s2", "nobody enrolled"),
        ("s1", "t1"),
    ]
    assert [each["mate_image"] for each in found["misses"]] == ["t5", "t4"]
    assert {kind: len(some) for kind, some in worst(said, 1).items()} == {"wrong_matches": 1, "misses": 1}
