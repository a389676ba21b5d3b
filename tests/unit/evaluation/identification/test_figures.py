"""Open-set identification figures."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from facet.evaluation.identification.figures import Outcomes, det_curve, f1_statistic, statistics
from facet.evaluation.identification.searches import LOWEST_SIMILARITY, Candidate, Search
from facet.evaluation.intervals import Identities, bootstrapped

FPIRS = (0.1, 0.01, 0.003)


def mated(candidate: str, similarity: float, *others: tuple[str, float], **fields: Any) -> Search:
    candidates = tuple(Candidate(*each) for each in ((candidate, similarity), *others))
    return Search("probe.jpg", "me", True, candidates, **fields)


def nonmated(similarity: float, **fields: Any) -> Search:
    return Search("probe.jpg", "stranger", False, (Candidate("me", similarity),), **fields)


def no_face(*, is_mated: bool) -> Search:
    return Search("blank.jpg", "me", is_mated, failure="FACE_NOT_FOUND")


def value(name: str, *searches: Search) -> float | None:
    return statistics(Outcomes.from_searches(searches), FPIRS)[name](np.ones(len(searches), np.int64))


def fnir(target: float, *searches: Search) -> float | None:
    return Outcomes.from_searches(searches).at_fpir(target).fnir(np.ones(len(searches), np.int64))


def threshold(target: float, *searches: Search) -> float | None:
    return Outcomes.from_searches(searches).at_fpir(target).threshold(np.ones(len(searches), np.int64))


def test_rank_1_depends_on_the_mate_and_not_on_its_similarity() -> None:
    assert value("rank_1", mated("me", -0.5), mated("other", 0.9), mated("me", 0.9), nonmated(0.9)) == 2 / 3


def test_rank_k_counts_mates_among_the_first_k_candidates() -> None:
    def at(rank: int) -> Search:
        others = [(f"other-{i}", 0.9) for i in range(rank - 1)]
        return Search("p.jpg", "me", True, tuple(Candidate(*each) for each in (*others, ("me", 0.1))))

    searches = [at(1), at(5), at(6), at(10), at(11), mated("other", 0.9), no_face(is_mated=True), nonmated(0.9)]
    assert [search.mate_rank for search in searches] == [1, 5, 6, 10, 11, None, None, None]
    assert value("rank_1", *searches) == 1 / 7
    assert value("rank_5", *searches) == 2 / 7
    assert value("rank_10", *searches) == 4 / 7


def test_a_mated_probe_without_a_face_is_a_miss() -> None:
    searches = [mated("me", 0.9), no_face(is_mated=True), nonmated(0.1)]
    assert value("rank_1", *searches) == 0.5
    assert fnir(0.0, *searches) == 0.5
    assert value("fnir", *searches) == 1.0


def test_a_nonmated_probe_without_a_face_counts_and_is_not_a_false_positive() -> None:
    searches = [mated("me", 0.5), nonmated(0.9), *[no_face(is_mated=False)] * 9]
    assert (threshold(0.1, *searches), fnir(0.1, *searches)) == (LOWEST_SIMILARITY, 0.0)
    assert value("fpir", *searches, nonmated(0.9, matched=True)) == 1 / 11


def test_the_threshold_is_the_smallest_that_meets_the_target_fpir() -> None:
    similarities = np.linspace(0.1, 1.0, 10, dtype=np.float32)
    searches = [nonmated(float(similarity)) for similarity in similarities]
    for allowed in range(10):
        at = threshold(allowed / 10, *searches)
        assert at is not None
        assert (similarities >= at).sum() == allowed
        assert (similarities >= np.nextafter(np.float32(at), np.float32(-1))).sum() == allowed + 1


def test_probes_with_equal_similarity_are_all_below_the_threshold() -> None:
    searches = [nonmated(0.5), nonmated(0.5), nonmated(0.5), nonmated(0.25), mated("me", 0.5), mated("me", 0.75)]
    assert threshold(0.5, *searches) == float(np.nextafter(np.float32(0.5), np.float32(1)))
    assert fnir(0.5, *searches) == 0.5


def test_a_mate_at_the_threshold_is_not_a_miss() -> None:
    above = float(np.nextafter(np.float32(0.25), np.float32(1)))
    assert fnir(0.0, nonmated(0.25), mated("me", above)) == 0.0
    assert fnir(0.0, nonmated(0.25), mated("me", 0.25)) == 1.0


def test_a_mate_that_is_not_the_best_candidate_is_a_miss() -> None:
    assert fnir(0.0, nonmated(0.1), mated("other", 0.9, ("me", 0.8))) == 1.0


@pytest.mark.parametrize(
    ("target", "count", "allowed"),
    [(0.29, 100, 29), (0.1, 30, 3), (0.01, 1012, 10), (0.003, 1012, 3), (0.01, 99, 0)],
)
def test_the_allowed_number_of_false_positives_has_no_rounding_error(target: float, count: int, allowed: int) -> None:
    similarities = np.linspace(0, 0.9, count, dtype=np.float32)
    at = threshold(target, *[nonmated(float(each)) for each in similarities])
    assert at is not None
    assert (similarities >= at).sum() == allowed


def test_a_probe_of_weight_n_counts_as_n_probes() -> None:
    rng = np.random.default_rng(3)
    searches = [nonmated(float(each)) for each in rng.random(50)] + [mated("me", float(x)) for x in rng.random(40)]
    weights = rng.integers(0, 4, len(searches))
    repeated = [search for search, count in zip(searches, weights, strict=True) for _ in range(count)]
    for name, statistic in statistics(Outcomes.from_searches(searches), FPIRS).items():
        assert statistic(weights) == value(name, *repeated)
    assert Outcomes.from_searches(searches).at_fpir(0.1).threshold(weights) == threshold(0.1, *repeated)


def test_fnir_of_normally_distributed_similarities_equals_the_closed_form() -> None:
    rng = np.random.default_rng(7)
    strangers, mates = rng.normal(0.1, 0.1, 4000), rng.normal(0.4, 0.15, 4000)
    searches = [nonmated(float(each)) for each in strangers] + [mated("me", float(each)) for each in mates]
    outcomes = Outcomes.from_searches(searches)
    identities = Identities(range(len(searches)), seed=0, rounds=300)
    for fpir in FPIRS:
        cut = NormalDist(0.1, 0.1).inv_cdf(1 - fpir)
        figure = bootstrapped(outcomes.at_fpir(fpir).fnir, len(searches), identities.weights(range(len(searches))))
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= NormalDist(0.4, 0.15).cdf(cut) <= figure.high
        at = outcomes.at_fpir(fpir).threshold(np.ones(len(searches), np.int64))
        assert at == pytest.approx(cut, abs=0.03)


def test_figures_without_their_probes_are_undefined() -> None:
    assert value("rank_1", nonmated(0.1)) is None
    assert fnir(0.1, mated("me", 0.9)) is None
    assert threshold(0.1, mated("me", 0.9)) is None
    assert fnir(0.0, nonmated(0.5)) is None
    assert value("precision", nonmated(0.5)) is None
    assert all(value(name) is None for name in statistics(Outcomes.from_searches([]), FPIRS))


def test_fpir_and_fnir_follow_the_decisions_of_the_service() -> None:
    searches = [
        mated("me", 0.9, matched=True),
        mated("me", 0.8),
        mated("other", 0.7, matched=True),
        nonmated(0.6, matched=True),
        nonmated(0.95),
    ]
    figures = {name: value(name, *searches) for name in ("fpir", "recall", "fnir", "precision", "f1")}
    assert figures == pytest.approx({"fpir": 1 / 2, "recall": 1 / 3, "fnir": 2 / 3, "precision": 1 / 3, "f1": 1 / 3})


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    searches = [mated("me", 0.9, matched=True)] * 3 + [nonmated(0.6, matched=True), mated("me", 0.1)]
    precision, recall = value("precision", *searches), value("recall", *searches)
    assert precision is not None
    assert recall is not None
    expected = 2 * precision * recall / (precision + recall)
    assert f1_statistic(Outcomes.from_searches(searches))(np.ones(5, np.int64)) == pytest.approx(expected)


def test_the_det_curve_falls_from_few_false_positives_to_many() -> None:
    rng = np.random.default_rng(1)
    searches = [nonmated(float(each)) for each in rng.normal(0.1, 0.1, 500)]
    searches += [mated("me", float(each)) for each in rng.normal(0.4, 0.1, 500)]
    curve = det_curve(Outcomes.from_searches(searches), 50)
    assert (curve["x"][0], curve["x"][-1]) == (1 / 500, 1.0)
    assert len(curve["x"]) <= 50
    assert curve["x"] == sorted(set(curve["x"]))
    assert curve["y"] == sorted(curve["y"], reverse=True)
    assert curve["y"][-1] == 0.0
    for target, missed in zip(curve["x"], curve["y"], strict=True):
        assert fnir(target, *searches) == missed


def test_the_det_curve_needs_mated_and_nonmated_probes() -> None:
    assert (
        det_curve(Outcomes.from_searches([mated("me", 0.5)]), 10)["x"]
        == det_curve(Outcomes.from_searches([nonmated(0.5)]), 10)["x"]
        == []
    )
