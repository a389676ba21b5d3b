"""A gallery calibrated against itself whose people are enrolled twice, or under each other's ids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import genextreme

from gallery.calibration.contamination import separate
from gallery.calibration.extreme_values import ExtremeValueLaw
from gallery.calibration.forecast import UnreliableReason
from gallery.calibration.own_pictures import NO_OWN_PICTURES, OwnPictures, highest_threshold
from gallery.calibration.thresholds import NonmatedScores, ThresholdChoice, choose_threshold

SPREAD = 0.07
MATE, MATE_SPREAD = 0.63, 0.13

Vectors = NDArray[np.float64]


def crowd(people: int, twice: int, seed: int) -> Vectors:
    """Similarities between the templates of people, the first of whom are enrolled a second time, at the end."""
    rng = np.random.default_rng(seed)
    count = people + twice
    upper = np.triu(rng.normal(0, SPREAD, (count, count)), 1)
    similarities = upper + upper.T
    for person in range(twice):
        mate = min(rng.normal(MATE, MATE_SPREAD), 0.95)
        similarities[person, people + person] = similarities[people + person, person] = mate
    np.fill_diagonal(similarities, -1)
    return similarities


def calibrate(
    similarities: Vectors, subjects: list[str], target: float, own: OwnPictures = NO_OWN_PICTURES
) -> ThresholdChoice:
    """Calibrate templates against each other, given the subject of each."""
    distinct, codes = np.unique(subjects, return_inverse=True)
    found = np.full((len(subjects), len(distinct)), -1.0)
    for row, code in enumerate(codes):
        found[:, code] = np.maximum(found[:, code], similarities[:, row])
    found[np.arange(len(subjects)), codes] = -1
    best = -np.sort(-found, axis=1)[:, :3].astype(np.float32)
    others = distinct[found.argmax(axis=1)].tolist()
    scores = NonmatedScores(best[:, 0], subjects, others, len(subjects), is_cross_subject=True, runners_up=best[:, 1:])
    return choose_threshold(scores, target_fpir=target, for_templates=len(subjects), without_suspects=True, own=own)


def true_fpir(threshold: float, templates: int) -> float:
    """The FPIR of strangers whose similarities to all templates are normal."""
    return -math.expm1(templates * math.log1p(-0.5 * math.erfc(threshold / SPREAD / math.sqrt(2))))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("target", [0.1, 0.01])
def test_people_enrolled_twice_do_not_move_the_threshold(share: float, target: float) -> None:
    for seed in range(3):
        twice = round(300 * share)
        names = [f"s{number}" for number in range(300 + twice)]
        chosen = calibrate(crowd(300, twice, seed), names, target)
        # Nobody here looks alike, so the threshold is a little higher than needed.
        assert 0.4 * target < true_fpir(chosen.threshold, len(names)) < 2 * target
        assert chosen.forecast.contamination == pytest.approx(2 * twice / (300 + twice), abs=0.03)
        assert chosen.forecast.contamination_low <= chosen.forecast.contamination <= chosen.forecast.contamination_high
        assert chosen.forecast.unreliable == ()


def test_one_persons_many_pictures_under_another_id_count_as_one_person() -> None:
    people, pictures = 200, 76
    similarities = crowd(people + pictures, 0, 4)
    rng = np.random.default_rng(5)
    one_person = [0, *range(people, people + pictures)]
    mates = np.triu(rng.normal(MATE, MATE_SPREAD, (len(one_person), len(one_person))).clip(-1, 0.95), 1)
    similarities[np.ix_(one_person, one_person)] = mates + mates.T - np.eye(len(one_person))
    names = [f"s{number}" for number in range(people)] + ["s7"] * pictures
    chosen = calibrate(similarities, names, 0.05)
    assert 0.025 < true_fpir(chosen.threshold, len(names)) < 0.1
    assert chosen.forecast.contamination < 0.03
    assert [(each.subject_id, each.other_id) for each in chosen.suspects] in ([("s0", "s7")], [("s7", "s0")])


def test_a_gallery_in_which_nearly_everybody_is_enrolled_twice_is_unreliable() -> None:
    names = [f"s{number}" for number in range(190)]
    chosen = calibrate(crowd(100, 90, 6), names, 0.1)
    assert UnreliableReason.CONTAMINATED in chosen.forecast.unreliable
    assert chosen.forecast.contamination > 0.8


def test_a_threshold_that_different_people_never_reach_is_unreliable() -> None:
    rng = np.random.default_rng(7)
    people = rng.normal(size=(40, 128))
    ids = np.repeat(people, 6, axis=0) + 0.5 * rng.normal(size=(240, 128))
    embeddings = (ids / np.linalg.norm(ids, axis=1, keepdims=True)).astype(np.float32)
    similarities = (embeddings @ embeddings.T).astype(np.float64)
    np.fill_diagonal(similarities, -1)
    own = OwnPictures(highest_threshold=highest_threshold(embeddings))
    assert own.highest_threshold == pytest.approx(8 / math.sqrt(128), rel=0.2)
    chosen = calibrate(similarities, [f"s{number}" for number in range(240)], 0.1, own)
    assert chosen.forecast.unreliable == (UnreliableReason.THRESHOLD_OUT_OF_RANGE,)


def test_strangers_who_are_enrolled_under_another_id_make_labelled_evidence_unreliable() -> None:
    rng = np.random.default_rng(8)
    best = np.sort(rng.normal(0, SPREAD, (400, 500)))[:, ::-1][:, :3]
    names, others = [f"x{number}" for number in range(400)], [f"s{number}" for number in range(400)]

    def chosen(best: Vectors, *, without_suspects: bool = False) -> ThresholdChoice:
        columns = best.astype(np.float32)
        scores = NonmatedScores(columns[:, 0], names, others, 500, is_cross_subject=False, runners_up=columns[:, 1:])
        return choose_threshold(scores, target_fpir=0.02, for_templates=500, without_suspects=without_suspects)

    clean = chosen(best)
    assert clean.forecast.unreliable == ()
    best[:40, 0] = rng.normal(MATE, 0.05, 40)
    poisoned, corrected = chosen(best), chosen(best, without_suspects=True)
    assert UnreliableReason.THRESHOLD_OUT_OF_RANGE in poisoned.forecast.unreliable
    assert poisoned.forecast.contamination == pytest.approx(0.1, abs=0.01)
    assert len(poisoned.suspects) == 40
    assert corrected.forecast.unreliable == ()
    assert corrected.threshold == pytest.approx(clean.threshold, abs=0.015)


def test_a_wrong_picture_under_a_subject_is_not_a_missed_picture_of_it() -> None:
    similarity = np.full(200, 0.6, np.float32)
    similarity[:4] = 0.02
    similarity[4:6] = 0.25
    names = [f"s{number // 2}" for number in range(200)]
    own = OwnPictures(similarity, np.full(200, 0.2, np.float32), names)
    forecast = calibrate(crowd(200, 0, 9), [f"s{number}" for number in range(200)], 0.01, own).forecast
    assert (forecast.own_searches, forecast.own_missed, forecast.own_missed_subjects) == (200, 6, 3)
    assert forecast.fnir == pytest.approx(1 / 98)
    assert forecast.fnir_low is not None
    assert forecast.fnir_high is not None
    assert forecast.fnir_low <= 0.01 < 0.03 < forecast.fnir_high


def test_the_law_of_the_best_similarities_agrees_with_scipy() -> None:
    law = ExtremeValueLaw(0.2, 0.03, -0.1)
    reference = genextreme(0.1, loc=0.2, scale=0.03)
    for similarity in (0.1, 0.2, 0.3, 0.4):
        assert law.fpir(similarity) == pytest.approx(reference.sf(similarity), rel=1e-9)
        (densities,) = law.log_densities(np.array([[similarity]]))
        assert densities == pytest.approx([reference.logpdf(similarity), 0])
    assert law.quantile(0.01) == pytest.approx(reference.isf(0.01))
    assert ExtremeValueLaw(0.2, 0.03, 0.0).quantile(0.01) == pytest.approx(genextreme(0, 0.2, 0.03).isf(0.01))


def test_similarities_that_do_not_vary_cannot_be_separated() -> None:
    assert separate(np.full((100, 2), 0.3), np.ones(100), np.arange(100)) is None
