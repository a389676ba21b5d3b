"""The choice of a threshold, its interval, what it means later, and its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from gallery.calibration.forecast import UnreliableReason
from gallery.calibration.thresholds import NonmatedScores, choose_threshold, searches_needed
from gallery.records import calibration_json
from gallery.records.calibration_json import InvalidCalibration
from gallery.records.calibrations import (
    Calibration,
    CalibrationSource,
    CalibrationState,
    StaleReason,
    calibration_status,
    fpir_at_size,
)

COMPARED = 1871
SPREAD = 0.07

CALIBRATION = Calibration(
    target_fpir=0.01,
    threshold=0.25,
    fpir=0.01,
    fpir_low=0.005,
    fpir_high=0.02,
    model="generalised Pareto",
    source=CalibrationSource.ITSELF_AND_COHORT,
    data_set="Gäste",
    data_set_sha256="a" * 64,
    searches=1000,
    identities=900,
    failures=3,
    templates=500,
    for_templates=1000,
    contract="c",
    mean_of_best=2,
    create_time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    curve=((0.1, 0.5), (0.2, 0.1), (0.3, 0.001)),
)


def nonmated(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    return np.asarray(SPREAD * norm.ppf(rng.random(count) ** (1 / COMPARED)), np.float32)


def true_fpir(similarity: float) -> float:
    return float(-np.expm1(COMPARED * norm.logsf(-similarity / SPREAD)))


def searches(best: NDArray[np.float32], **fields: Any) -> NonmatedScores:
    rows = range(len(best))
    every: dict[str, Any] = {
        "subject_ids": [f"s{i}" for i in rows],
        "other_ids": [f"t{i}" for i in rows],
        "is_cross_subject": False,
    }
    return NonmatedScores(best=best, templates=COMPARED, **(every | fields))


@pytest.mark.parametrize("target", [0.1, 0.01])
def test_the_interval_covers_the_true_fpir_as_often_as_claimed(target: float) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        chosen = choose_threshold(
            searches(nonmated(rng, 800)), target_fpir=target, for_templates=COMPARED, without_suspects=False
        )
        assert chosen.fpir == pytest.approx(target, rel=0.02)
        covered += chosen.fpir_low <= true_fpir(chosen.threshold) <= chosen.fpir_high
    assert covered >= 51  # of 60; 57 are expected


def test_the_choice_is_deterministic() -> None:
    best = nonmated(np.random.default_rng(1), 500)
    first, second = (
        choose_threshold(searches(best), target_fpir=0.02, for_templates=COMPARED, without_suspects=False)
        for _ in range(2)
    )
    assert first == second


def test_searches_for_fewer_people_widen_the_interval() -> None:
    best = np.repeat(nonmated(np.random.default_rng(2), 300), 4)
    alone = choose_threshold(searches(best), target_fpir=0.05, for_templates=COMPARED, without_suspects=False)
    of_few = searches(best, subject_ids=[f"s{i // 4}" for i in range(len(best))])
    together = choose_threshold(of_few, target_fpir=0.05, for_templates=COMPARED, without_suspects=False)
    assert together.threshold == alone.threshold
    assert together.identities == 300
    assert together.fpir_high - together.fpir_low > 1.5 * (alone.fpir_high - alone.fpir_low)


def test_two_subjects_who_are_each_others_best_count_as_one_pair() -> None:
    best = np.repeat(nonmated(np.random.default_rng(3), 600), 2)
    names = [f"s{i}" for i in range(len(best))]
    others = [f"s{i ^ 1}" for i in range(len(best))]
    paired = searches(best, subject_ids=names, other_ids=others, is_cross_subject=True)
    apart = searches(best, subject_ids=names, is_cross_subject=True)
    one, other = (
        choose_threshold(each, target_fpir=0.05, for_templates=COMPARED, without_suspects=True)
        for each in (paired, apart)
    )
    assert one.fpir_high - one.fpir_low > 1.25 * (other.fpir_high - other.fpir_low)


def test_suspects_are_reported_once_and_counted_only_if_labels_are_trusted() -> None:
    best = nonmated(np.random.default_rng(4), 1000)
    best[:4] = (0.9, 0.9, 0.7, 0.6)
    found = searches(best, subject_ids=[f"s{i}" for i in range(1000)], other_ids=["s1", "s0", *(["t"] * 998)])
    trusted = choose_threshold(found, target_fpir=0.01, for_templates=COMPARED, without_suspects=False)
    doubted = choose_threshold(found, target_fpir=0.01, for_templates=COMPARED, without_suspects=True)
    for chosen in (trusted, doubted):
        pairs = [(each.subject_id, each.other_id, round(each.similarity, 2)) for each in chosen.suspects]
        assert pairs == [("s0", "s1", 0.9), ("s2", "t", 0.7), ("s3", "t", 0.6)]
    assert (trusted.searches, doubted.searches) == (1000, 996)
    assert trusted.threshold > doubted.threshold
    assert (best >= trusted.threshold).mean() == pytest.approx(0.01, abs=0.003)


def test_trusted_labels_may_put_the_threshold_among_the_suspects() -> None:
    best = nonmated(np.random.default_rng(5), 1000)
    best[:4] = (0.9, 0.8, 0.7, 0.6)
    chosen = choose_threshold(searches(best), target_fpir=0.003, for_templates=COMPARED, without_suspects=False)
    assert 0.6 < chosen.threshold < 0.7
    assert (best >= chosen.threshold).sum() == 3


@pytest.mark.parametrize(("enrolled", "is_refused"), [(1, False), (4, False), (12, True)])
def test_strangers_who_are_enrolled_are_listed_and_refused_where_only_they_reach_the_threshold(
    enrolled: int, *, is_refused: bool
) -> None:
    best = nonmated(np.random.default_rng(15), 1000)
    best[:enrolled] = 0.7
    found = searches(best)
    trusted = choose_threshold(found, target_fpir=0.01, for_templates=COMPARED, without_suspects=False)
    assert (UnreliableReason.THRESHOLD_OUT_OF_RANGE in trusted.forecast.unreliable) == is_refused
    assert len(trusted.suspects) == enrolled
    doubted = choose_threshold(found, target_fpir=0.01, for_templates=COMPARED, without_suspects=True)
    assert doubted.forecast.unreliable == ()
    strangers = nonmated(np.random.default_rng(16), 100_000)
    assert 0.005 < (strangers >= doubted.threshold).mean() < 0.02


def test_a_threshold_for_a_larger_gallery_is_higher() -> None:
    found = searches(nonmated(np.random.default_rng(6), 2000))
    now, later = (
        choose_threshold(found, target_fpir=0.02, for_templates=size, without_suspects=False) for size in (1871, 18_710)
    )
    assert later.threshold > now.threshold
    assert fpir_at_size(later.fpir, COMPARED, 18_710) == pytest.approx(0.02, rel=0.02)


def test_fpir_scales_with_the_gallery() -> None:
    assert fpir_at_size(0.1, 100, 200) == pytest.approx(1 - 0.9**2)
    assert fpir_at_size(fpir_at_size(0.1, 100, 731), 731, 100) == pytest.approx(0.1)
    assert (fpir_at_size(0.0, 100, 200), fpir_at_size(1.0, 100, 200)) == (0, 1)


@pytest.mark.parametrize(
    ("target", "size", "needed"), [(0.1, 100, 100), (0.001, 100, 500), (0.001, 1000, 4998), (1e-6, 100, 500_000)]
)
def test_a_lower_target_needs_more_searches(target: float, size: int, needed: int) -> None:
    assert searches_needed(target, 100, size) == needed


def test_the_curve_gives_the_share_above_a_similarity() -> None:
    rng = np.random.default_rng(7)
    best = nonmated(rng, 5000)
    chosen = choose_threshold(searches(best), target_fpir=0.01, for_templates=COMPARED, without_suspects=False)
    calibration = replace(CALIBRATION, curve=chosen.curve, templates=COMPARED)
    assert len(chosen.curve) <= 40
    rates = [calibration.false_positive_rate(similarity, COMPARED) for similarity in np.linspace(-1, 1, 2001)]
    assert all(more >= less for more, less in pairwise(rates))
    for similarity in np.quantile(best, [0.02, 0.3, 0.5, 0.8, 0.95, 0.99]):
        rate = calibration.false_positive_rate(float(similarity), COMPARED)
        assert rate == pytest.approx(true_fpir(similarity), rel=0.3)
    assert calibration.false_positive_rate(chosen.threshold, COMPARED) == pytest.approx(0.01, rel=0.05)
    assert calibration.false_positive_rate(1.0, COMPARED) == pytest.approx(0.5 / 5000)


@pytest.mark.parametrize("same", [0.18, -1.0, 1.0])
@pytest.mark.parametrize("equal", [50, 120, 150])
def test_searches_with_mostly_equal_results_give_a_valid_calibration(same: float, equal: int) -> None:
    best = np.concatenate([nonmated(np.random.default_rng(8), 150 - equal), np.full(equal, same, np.float32)])
    for target in (0.1, 0.01):
        for without_suspects in (False, True):
            found = searches(best)
            chosen = choose_threshold(
                found, target_fpir=target, for_templates=COMPARED, without_suspects=without_suspects
            )
            kept = replace(
                CALIBRATION,
                threshold=chosen.threshold,
                fpir=chosen.fpir,
                fpir_low=chosen.fpir_low,
                fpir_high=chosen.fpir_high,
                curve=chosen.curve,
                searches=chosen.searches,
                identities=chosen.identities,
            )
            assert calibration_json.from_text(calibration_json.to_text(kept)) == kept
            assert chosen.fpir <= target * 1.001 or chosen.threshold == 1


def test_a_rate_is_interpolated_in_logarithms_and_scaled_to_the_gallery() -> None:
    assert CALIBRATION.false_positive_rate(0.2, 500) == pytest.approx(0.1)
    assert CALIBRATION.false_positive_rate(0.25, 500) == pytest.approx(0.01)
    assert CALIBRATION.false_positive_rate(0.25, 1000) == pytest.approx(1 - 0.99**2)
    assert CALIBRATION.false_positive_rate(0.05, 500) == 1
    assert CALIBRATION.false_positive_rate(0.9, 500) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ()),
        ({"templates": 1100}, ()),
        ({"templates": 1101}, (StaleReason.OUTGROWN,)),
        ({"contract": "d"}, (StaleReason.CONTRACT_CHANGED,)),
        ({"threshold": 0.26}, (StaleReason.THRESHOLD_CHANGED,)),
        ({"mean_of_best": 1}, (StaleReason.MEAN_OF_BEST_CHANGED,)),
        ({"templates": 9999, "threshold": 0.2}, (StaleReason.OUTGROWN, StaleReason.THRESHOLD_CHANGED)),
    ],
)
def test_a_stale_calibration_has_reasons(change: dict[str, Any], reasons: tuple[StaleReason, ...]) -> None:
    now: dict[str, Any] = {"contract": "c", "threshold": 0.25, "mean_of_best": 2, "templates": 500} | change
    found = calibration_status(CALIBRATION, **now)
    assert found.reasons == reasons
    assert found.state is (CalibrationState.STALE if reasons else CalibrationState.CURRENT)
    assert calibration_status(None, **now).state is CalibrationState.NOT_CALIBRATED


def test_a_calibration_is_read_as_it_was_written() -> None:
    text = calibration_json.to_text(CALIBRATION)
    assert calibration_json.from_text(text) == CALIBRATION
    assert calibration_json.from_plain(json.loads(text) | {"later": 1}) == CALIBRATION
    assert calibration_json.from_text(calibration_json.to_text(None)) is None


def test_the_longest_calibration_fits_in_a_row() -> None:
    curve = tuple((round(-0.123456 + i / 1e4, 6), float(f"{1.23456e-5 / (i + 1):.6g}")) for i in range(40))
    widest = replace(CALIBRATION, data_set="人" * 256, contract="人" * 128, data_set_sha256="人" * 128, curve=curve)
    assert len(calibration_json.to_text(widest).encode()) < calibration_json.MAX_TEXT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("threshold", float("nan")),
        ("fpir", True),
        ("target_fpir", 0),
        ("target_fpir", 1),
        ("source", "guesswork"),
        ("source", None),
        ("searches", 0),
        ("searches", 1.5),
        ("templates", -1),
        ("data_set", "a\nb"),
        ("contract", ""),
        ("create_time", "2026-01-02T03:04:05"),
        ("create_time", 5),
        ("curve", []),
        ("curve", [[0.1, 0.5], [0.1, 0.4]]),
        ("curve", [[0.1, 0.5], [0.2, 0.5]]),
        ("curve", [[0.1]]),
        ("curve", 7),
        ("curve", [[i / 100, 1 - i / 100] for i in range(41)]),
    ],
)
def test_an_invalid_value_is_named(name: str, value: object) -> None:
    plain = calibration_json.to_plain(CALIBRATION) | {name: value}
    with pytest.raises(InvalidCalibration, match=name):
        calibration_json.from_plain(plain)


@pytest.mark.parametrize("text", ["{", "[]", "7", "{}", "[" * 100_000])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCalibration):
        calibration_json.from_text(text)


def test_a_calibration_names_its_cohort_only_to_those_who_may_use_that_gallery() -> None:
    by_cohort = replace(CALIBRATION, source=CalibrationSource.ITSELF_AND_COHORT, data_set="vault")
    assert by_cohort.told_to(lambda gallery_id: gallery_id == "vault") is by_cohort
    assert by_cohort.told_to(lambda _: False) == replace(by_cohort, data_set="")
    of_probes = replace(by_cohort, source=CalibrationSource.PROBES)
    assert of_probes.told_to(lambda _: False) is of_probes, "its data set is no gallery"
