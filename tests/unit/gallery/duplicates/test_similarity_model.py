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
    best = np.where(is_same, chance.normal(0.62, 0.12, 3000), chance.gumbel(0.25, 0.027, 3000))
    return fit(
        best,
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
    model = fit(nothing, nothing, nothing, nothing, templates=0)
    assert (model.mate_mean, model.mate_deviation) == (0.62, 0.12)
    assert (model.stranger_mean, model.stranger_deviation) == (0.01, 0.067)
