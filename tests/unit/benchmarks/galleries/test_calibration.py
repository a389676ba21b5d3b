"""The experiments on calibrated thresholds, on made-up faces with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.benchmarks.galleries.calibration.contamination import KINDS, TARGETS, contaminated_galleries, summary
from facet.benchmarks.galleries.calibration.experiments import draw_known, grow, hold_out
from facet.benchmarks.galleries.templates import Faces, People

DIMENSION = 48


def directions(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def crowd(noise: float) -> Faces:
    """300 people with a template and a mated probe each, and probes of 600 others."""
    rng = np.random.default_rng(0)
    templates = directions(rng.normal(size=(300, DIMENSION)))
    mated = directions(templates + noise * directions(rng.normal(size=templates.shape)))
    return Faces(templates, mated, np.arange(300), directions(rng.normal(size=(600, DIMENSION))))


def test_thresholds_chosen_on_one_half_keep_their_target_on_the_other() -> None:
    measured = {(each.method, each.target): each for each in hold_out(crowd(0.1), 4)}
    assert len(measured) == 16
    for target in (0.1, 0.03, 0.01):
        assert measured["probes", target].measured == pytest.approx(target, rel=0.5)
    thresholds = [measured["probes", target].threshold for target in (0.1, 0.03, 0.01, 0.003)]
    assert thresholds == sorted(thresholds)


def test_a_lower_target_fpir_misses_more_mated_probes() -> None:
    assert {each.missed for each in hold_out(crowd(0.1), 1)} == {0.0}
    missed = [each.missed for each in hold_out(crowd(2.0), 1) if each.method == "probes"]
    assert missed == sorted(missed)
    assert 0 < missed[0] < missed[-1] <= 1


def test_a_part_calibrated_for_the_whole_gallery_predicts_its_fpir() -> None:
    grown = grow(crowd(0.1), parts=5)
    assert [(each.templates, each.target, each.parts) for each in grown] == [
        (size, target, 5) for size in (60, 150) for target in (0.1, 0.01)
    ]
    for each in grown:
        if each.target == 0.1:
            assert each.measured == pytest.approx(0.1, rel=0.4)


def test_targets_that_too_few_searches_allow_are_left_out() -> None:
    people = crowd(0.1)
    few = Faces(people.templates, people.mated, people.mates, people.nonmated[:240])
    assert {each.target for each in hold_out(few, 1) if each.method == "probes"} < {0.1, 0.03, 0.01, 0.003}


def test_thresholds_from_a_known_distribution_have_nearly_their_target_fpir() -> None:
    known = list(draw_known(10))
    for each in known:
        assert each.sets == 10
        assert each.quarter <= each.median <= each.three_quarters
    most_searches = next(each for each in known if (each.searches, each.target) == (5000, 0.1))
    assert most_searches.median == pytest.approx(0.1, rel=0.2)


def test_contaminated_galleries_are_measured_by_people_who_are_not_in_them() -> None:
    rng = np.random.default_rng(1)
    subjects = np.repeat(np.arange(340), 3)
    people = directions(rng.normal(size=(340, 128)))[subjects]
    pictures = [directions(people + 0.7 * directions(rng.normal(size=people.shape))) for _ in range(2)]
    found = list(contaminated_galleries(People([f"s{n}" for n in subjects], *pictures), 2, [(200, 1), (300, 1)]))
    assert [(each.kind, each.target) for each in found] == [(kind, target) for kind in KINDS for target in TARGETS]
    for each in found:
        assert (each.people, each.draws, each.strangers) == (200, 2, 140)
        assert each.estimated == pytest.approx(each.contaminated, abs=0.02)
    kept = [each for each in found if each.target == 0.1]
    assert sum(each.refused for each in kept) == 0
    assert sum(each.within for each in kept) == 2 * len(kept)
    assert max(each.contaminated for each in found) == pytest.approx(1 / 3, abs=0.01)
    figures = summary(found)
    assert (figures.draws, figures.silent_losses) == (2 * len(found), 0)
    assert figures.refused + sum(each.draws - each.refused for each in found) == figures.draws
    assert figures.within_factor_2 > 0.9
