"""Verification figures against scikit-learn, closed forms and a plain implementation of LFW's protocol."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score, roc_curve

from facet.evaluation.datasets.pairs import Pairs
from facet.evaluation.intervals import Figure
from facet.evaluation.verification.figures import (
    FARS,
    NO_FACE,
    LfwFolds,
    RocCurve,
    RocPoints,
    decision_values,
    is_measurable,
    thin_curve,
)
from facet.evaluation.verification.report import VerificationReport
from facet.evaluation.verification.run import VerificationRun

SEPARATION = 3.0
"""Distance of the means of mated and nonmated similarities, both with standard deviation 1."""


def points(
    similarity: NDArray[np.float64], same: NDArray[np.bool_], weights: NDArray[np.int64] | None = None
) -> RocPoints:
    found = RocCurve(similarity, same).points(np.ones(len(same), np.int64) if weights is None else weights)
    assert found is not None
    return found


def gaussian(count: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    same = np.arange(count) % 2 == 0
    return rng.normal(size=count) + SEPARATION * same, same


scored_pairs = st.lists(
    st.tuples(st.integers(-5, 5), st.booleans(), st.integers(1, 3)), min_size=2, max_size=30
).filter(lambda pairs: len({same for _, same, _ in pairs}) == 2)


@given(scored_pairs)
def test_roc_and_auc_equal_those_of_scikit_learn_with_ties_and_weights(pairs: list[tuple[int, bool, int]]) -> None:
    similarity = np.array([each[0] for each in pairs], np.float64)
    same, weights = np.array([each[1] for each in pairs]), np.array([each[2] for each in pairs], np.int64)
    found = points(similarity, same, weights)
    assert found.auc() == pytest.approx(roc_auc_score(same, similarity, sample_weight=weights))
    far, tar, thresholds = roc_curve(same, similarity, sample_weight=weights, drop_intermediate=False)
    np.testing.assert_allclose(found.far, far, atol=1e-12)
    np.testing.assert_allclose(found.tar, tar, atol=1e-12)
    np.testing.assert_array_equal(found.thresholds, thresholds)


@given(scored_pairs)
def test_decision_figures_equal_those_of_scikit_learn(pairs: list[tuple[int, bool, int]]) -> None:
    accepted = np.array([each[0] >= 0 for each in pairs])
    same, weights = np.array([each[1] for each in pairs]), np.array([each[2] for each in pairs], np.int64)
    found = decision_values(accepted, same, weights)
    precision, recall, f1, _ = precision_recall_fscore_support(
        same, accepted, sample_weight=weights, average="binary", zero_division=0
    )
    assert (found["precision"] or 0, found["recall"], found["f1"]) == pytest.approx((precision, recall, f1))


def test_eer_and_tar_of_two_gaussians_equal_the_closed_form() -> None:
    similarity, same = gaussian(1_000_000, np.random.default_rng(1))
    found, normal = points(similarity, same), NormalDist()
    rate, threshold = found.eer()
    assert rate == pytest.approx(normal.cdf(-SEPARATION / 2), abs=0.001)
    assert threshold == pytest.approx(SEPARATION / 2, abs=0.01)
    assert found.auc() == pytest.approx(normal.cdf(SEPARATION / 2**0.5), abs=0.001)
    for far, tolerance in ((1e-2, 0.005), (1e-3, 0.015), (1e-4, 0.04)):
        tar, at = found.at_far(far)
        assert tar == pytest.approx(normal.cdf(SEPARATION + normal.inv_cdf(far)), abs=tolerance)
        assert at == pytest.approx(-normal.inv_cdf(far), abs=0.1)


@given(scored_pairs, st.floats(0, 1))
def test_tar_at_far_is_the_largest_of_any_allowed_threshold(pairs: list[tuple[int, bool, int]], rate: float) -> None:
    similarity, same = np.array([each[0] for each in pairs], np.float64), np.array([each[1] for each in pairs])
    tar, threshold = points(similarity, same).at_far(rate)
    allowed = [
        np.mean(similarity[same] >= at)
        for at in (np.inf, *similarity)
        if np.mean(similarity[~same] >= at) <= rate + 1e-12
    ]
    assert tar == max(allowed)
    assert np.mean(similarity[same] >= threshold) == tar


@pytest.mark.parametrize("nonmated", [99, 100, 3000])
def test_tar_is_reported_only_if_its_rate_allows_a_nonmated_pair(nonmated: int) -> None:
    report = reported(np.append(np.full(50, 0.9), np.linspace(0, 0.2, nonmated)), np.arange(50 + nonmated) < 50)
    rates = {name: figure for name, figure in report.items() if name.startswith("tar@")}
    assert list(rates) == [f"tar@far=1e-{digits}" for digits in range(2, 7)]
    for rate, figure in zip(FARS, rates.values(), strict=True):
        reached = nonmated * rate >= 1
        assert (figure.value is not None) == reached == is_measurable(rate, nonmated)
        assert ("too few impostors" in figure.note) == (not reached)
        assert ("a reliable figure needs 30" in figure.note) == (reached and nonmated * rate < 30)


def reported(similarity: NDArray[np.float64], same: NDArray[np.bool_]) -> dict[str, Figure]:
    """The figures of pairs that share no picture."""
    count = len(same)
    first, second = np.arange(count), np.arange(count) + count
    people = [f"a{place}" for place in range(count)]
    others = [people[place] if same[place] else f"b{place}" for place in range(count)]
    images = tuple(f"{place}.jpg" for place in range(2 * count))
    pairs = Pairs(images, (*people, *others), "columns", first, second, same, first % 10)
    run = VerificationRun(similarity.astype(np.float32), np.ones(count, np.bool_), {}, 0, 0.0, None)
    return VerificationReport(pairs, run, threshold=np.float32(0.5), seed=0).figures()


def test_figures_without_errors_have_the_rule_of_three_over_people_as_bound() -> None:
    report = reported(np.append(np.full(60, 0.9), np.linspace(0, 0.2, 90)), np.arange(150) < 60)
    assert [report[name].value for name in ("frr", "far", "auc")] == [0, 0, 1]
    assert report["frr"].high == pytest.approx(3 / 60)
    assert report["far"].high == pytest.approx(3 / 180)
    assert report["auc"].low == pytest.approx(1 - 3 / 60)


def test_refused_pairs_are_counted_apart_from_pairs_without_a_face() -> None:
    images = tuple(f"{number}.jpg" for number in range(6))
    a, b = np.array([0, 2, 4]), np.array([1, 3, 5])
    pairs = Pairs(images, tuple("aabbcd"), "columns", a, b, np.array([True, True, False]), np.arange(3) % 2)
    failures = {"1.jpg": "FACE_NOT_FOUND", "3.jpg": "UNREADABLE"}
    similarity = np.array([NO_FACE, NO_FACE, 0.1], np.float32)
    run = VerificationRun(similarity, np.ones(3, np.bool_), failures, 0, 0.0, None)
    report = VerificationReport(pairs, run, threshold=np.float32(0.5), seed=0).figures()
    assert (report["pairs_without_face"], report["pairs_refused"], report["failed_to_detect"]) == (1, 1, 1)
    assert report["frr"].value == 1


def plain_folds(similarity: NDArray[np.float64], same: NDArray[np.bool_], folds: NDArray[np.intp]) -> list[float]:
    """LFW's protocol as in its paper, trying every threshold."""
    accuracies = []
    for fold in range(int(folds.max()) + 1):
        train, test = folds != fold, folds == fold
        places = sorted(set(similarity.tolist()), reverse=True)
        candidates = [np.inf, *((a + b) / 2 for a, b in zip(places, [*places[1:], -np.inf], strict=True))]
        right = [int(((similarity[train] >= at) == same[train]).sum()) for at in candidates]
        best = candidates[right.index(max(right))]
        accuracies.append(float(np.mean((similarity[test] >= best) == same[test])))
    return accuracies


@pytest.mark.parametrize("decimals", [1, 8])
def test_accuracy_by_folds_equals_the_plain_protocol(decimals: int) -> None:
    rng = np.random.default_rng(2)
    similarity, same = gaussian(600, rng)
    similarity = np.round(similarity, decimals)
    folds = rng.integers(10, size=600)
    found, _ = LfwFolds(similarity, same, folds).accuracies(np.ones(600, np.int64))
    assert found.tolist() == pytest.approx(plain_folds(similarity, same, folds))


def test_no_threshold_accepts_a_pair_without_a_face() -> None:
    """Even if accepting every pair is best, mated pairs without a face are errors."""
    similarity = np.array([0.5, 0.4, 0.3, NO_FACE] * 2, np.float32)
    folds = np.repeat([0, 1], 4)
    found, thresholds = LfwFolds(similarity, np.ones(8, np.bool_), folds).accuracies(np.ones(8, np.int64))
    assert found.tolist() == [0.75, 0.75]
    assert all(NO_FACE < threshold < 0.3 for threshold in thresholds)


def test_weighted_accuracy_equals_that_of_repeated_pairs() -> None:
    rng = np.random.default_rng(3)
    similarity, same = gaussian(200, rng)
    folds, weights = rng.integers(10, size=200), rng.integers(4, size=200)
    found, _ = LfwFolds(similarity, same, folds).accuracies(weights)
    repeated = np.repeat(np.arange(200), weights)
    assert found.tolist() == pytest.approx(plain_folds(similarity[repeated], same[repeated], folds[repeated]))


def test_a_thinned_curve_keeps_its_ends_and_its_points_at_low_rates() -> None:
    similarity, same = gaussian(20_000, np.random.default_rng(5))
    found = points(similarity, same)
    corners = thin_curve(found)
    assert len(corners["far"]) < 500
    assert (corners["far"][-1], corners["tar"][-1]) == (1.0, 1.0)
    assert corners["far"][0] == 0.0
    assert 1 / 10_000 in corners["far"]
    assert 1 - 1 / 10_000 in corners["tar"]
