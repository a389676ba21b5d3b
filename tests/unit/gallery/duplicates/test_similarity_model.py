"""The chances of a similarity model are calibrated, also if many people are enrolled twice."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.duplicates.similarity_model import SimilarityModel, fit

MODEL = SimilarityModel(0.25, 0.027, 0.007, 0.067, 0.62, 0.12, 0.05, 0.01)


def fitted(duplicates: float) -> SimilarityModel:
    """Estimate the model of a gallery in which this share of templates has a duplicate."""
    chance = np.random.default_rng(3)
    is_same = chance.random(3000) < duplicates
    # The joint law of the largest of many values (Weissman 1978), after the duplicate.
    best = 0.25 - 0.027 * np.log(np.cumsum(chance.exponential(size=(3000, 5)), axis=1))
    best[is_same] = np.concatenate([chance.normal(0.62, 0.12, (3000, 1)), best[:, :-1]], axis=1)[is_same]
    return fit(
        -np.sort(-best, axis=1),
        np.arange(3000),
        chance.normal(0.62, 0.12, 800),
        chance.normal(0.65, 0.12, 800),
        chance.normal(0.007, 0.067, 4000),
        templates=3000,
    )


@pytest.mark.parametrize("duplicates", [0.0, 0.05, 0.4])
def test_the_share_of_duplicates_is_estimated_and_strangers_are_not_taken_for_them(duplicates: float) -> None:
    model = fitted(duplicates)
    assert model.duplicate_share == pytest.approx(duplicates, abs=0.02)
    assert model.mode == pytest.approx(0.25, abs=0.01)
    assert model.scale == pytest.approx(0.027, abs=0.006)
    assert (model.mate_mean, model.mate_deviation) == pytest.approx((0.62, 0.12), abs=0.02)


def test_strangers_are_seen_even_if_everybody_is_enrolled_twice() -> None:
    model = fitted(1.0)
    assert model.duplicate_share > 0.9
    assert model.mode < 0.3
    assert model.scale < 0.05


def test_of_pairs_with_a_chance_about_as_many_are_one_person() -> None:
    model = fitted(0.05)
    chance = np.random.default_rng(4)
    is_same = chance.random(100_000) < 0.05
    best = np.where(is_same, chance.normal(0.62, 0.12, 100_000), chance.gumbel(0.25, 0.027, 100_000))
    chances = np.array([model.chance_same(each) for each in best.tolist()])
    unsure = (chances > 0.2) & (chances < 0.8)
    assert unsure.sum() > 200
    assert is_same[unsure].mean() == pytest.approx(chances[unsure].mean(), abs=0.15)


def test_a_chance_never_falls_as_the_similarity_rises() -> None:
    similarities = np.linspace(-1, 1, 401).tolist()
    same = [MODEL.chance_same(each) for each in similarities]
    wrong = [MODEL.chance_wrong(each, 5) for each in similarities]
    assert same == sorted(same)
    assert wrong == sorted(wrong, reverse=True)
    assert same[0] < 0.01 < 0.99 < same[-1]


def test_the_similarity_of_a_chance_has_that_chance() -> None:
    assert MODEL.chance_same(MODEL.similarity_at(0.3)) == pytest.approx(0.3, abs=1e-3)


def test_without_pictures_of_one_person_the_documented_prior_holds() -> None:
    nothing = np.empty(0)
    model = fit(np.empty((0, 0)), np.empty(0, np.intp), nothing, nothing, nothing, templates=0)
    assert (model.mate_mean, model.mate_deviation) == (0.62, 0.12)
    assert (model.stranger_mean, model.stranger_deviation) == (0.01, 0.067)


def test_somebody_in_a_group_who_resemble_each_other_must_be_more_similar_to_be_one_person() -> None:
    assert MODEL.chance_same(0.45) > 0.5
    in_a_group = MODEL.among(0.38, 8)
    assert in_a_group.chance_same(0.45) < 0.1 < 0.9 < in_a_group.chance_same(0.7)
    assert MODEL.among(0.15, 8) == MODEL


def test_one_person_under_many_ids_is_not_taken_for_a_group() -> None:
    assert MODEL.among(1.0, 8).chance_same(0.9) > 0.9
    same = np.ones((20, 5))
    model = fit(same, np.arange(20), np.empty(0), np.empty(0), np.ones(190), templates=20)
    assert model.chance_same(1.0) > 0.9
