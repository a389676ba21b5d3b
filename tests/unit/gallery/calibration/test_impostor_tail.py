"""The tail of strangers' similarities: against known distributions, and against another implementation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import genpareto, norm

from gallery.calibration import impostor_tail as tail

COMPARED = 1871
SPREAD = 0.07


def strangers(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """The best of many normal similarities, drawn by inversion."""
    return np.asarray(SPREAD * norm.ppf(rng.random(count) ** (1 / COMPARED)))


def truly_reached(similarity: float) -> float:
    return float(-np.expm1(COMPARED * norm.logsf(-similarity / SPREAD)))


@pytest.mark.parametrize(("shape", "scale"), [(-0.2, 0.02), (0.0, 0.02), (0.2, 0.5)])
def test_moments_find_the_distribution_that_was_drawn_from(shape: float, scale: float) -> None:
    excesses = genpareto.rvs(shape, scale=scale, size=20_000, random_state=np.random.default_rng(0))
    found = tail.moments(np.sort(excesses)[::-1], np.ones(len(excesses)))
    assert found == pytest.approx((shape, scale), abs=0.03, rel=0.03)


def test_moments_agree_with_maximum_likelihood() -> None:
    excesses = np.random.default_rng(1).exponential(0.02, 2000)
    shape, _, scale = genpareto.fit(excesses, floc=0)
    assert tail.moments(np.sort(excesses)[::-1], np.ones(2000)) == pytest.approx((shape, scale), abs=0.05)


def test_a_weight_counts_as_so_many_excesses() -> None:
    rng = np.random.default_rng(2)
    excesses, weights = np.sort(rng.exponential(1.0, 300))[::-1], rng.integers(0, 3, 300)
    drawn = np.repeat(excesses, weights)
    assert tail.moments(excesses, weights.astype(float)) == pytest.approx(tail.moments(drawn, np.ones(len(drawn))))


@pytest.mark.parametrize("shape", [-0.3, -1e-9, 0.0, 0.4])
@pytest.mark.parametrize("excess", [0.0, 0.01, 0.1, 1.0])
def test_the_chance_of_an_excess_is_scipys(shape: float, excess: float) -> None:
    assert tail.pareto(excess, shape, 0.05) == pytest.approx(genpareto.sf(excess, shape, scale=0.05), abs=1e-6)


@pytest.mark.parametrize(("count", "share", "model"), [(5000, 0.1, "empirical"), (5000, 0.003, "generalised Pareto")])
def test_a_threshold_is_reached_by_about_the_share_that_was_asked_for(count: int, share: float, model: str) -> None:
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(40):
        fitted = tail.fit(strangers(rng, count))
        threshold = fitted.threshold(share)
        assert fitted.model(threshold) == model
        assert fitted.reached(threshold) == pytest.approx(share, rel=0.02)
        errors.append(math.log(truly_reached(threshold) / share))
    assert abs(np.mean(errors)) < 0.1
    assert np.std(errors) < 0.4


def test_a_threshold_is_the_lowest_float32_that_no_more_reach() -> None:
    best = np.linspace(0.1, 0.4, 1000).astype(np.float32).astype(np.float64)
    fitted = tail.fit(best)
    threshold = fitted.threshold(0.25)
    assert float(np.float32(threshold)) == threshold
    assert (best >= threshold).sum() == 250
    assert (best >= np.nextafter(np.float32(threshold), np.float32(-1))).sum() == 251


def test_the_share_that_reaches_falls_with_similarity_across_the_start_of_the_tail() -> None:
    fitted = tail.fit(strangers(np.random.default_rng(4), 800))
    shares = [fitted.reached(similarity) for similarity in np.linspace(-1, 1, 4001)]
    assert shares[0] == 1
    assert all(more >= less for more, less in pairwise(shares))


def test_what_is_set_apart_counts_and_does_not_shape_the_tail() -> None:
    best = strangers(np.random.default_rng(5), 1000)
    plain, apart = tail.fit(best), tail.fit(best, np.array([0.9, 0.8]))
    assert (apart.shape, apart.scale) == (plain.shape, plain.scale)
    assert apart.reached(0.85) == pytest.approx(1 / 1002 + plain.reached(0.85) * 1000 / 1002)


@pytest.mark.parametrize("value", [-1.0, 0.3])
def test_searches_that_all_find_the_same_are_counted(value: float) -> None:
    fitted = tail.fit(np.full(200, value))
    assert fitted.reached(value) == 1
    assert fitted.reached(value + 0.01) == 0
    assert fitted.threshold(0.01) == pytest.approx(value, abs=1e-6)


def test_people_who_are_there_twice_are_told_from_strangers() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        same = rng.uniform(0.5, 1.0, 40)
        limit = tail.implausible(np.concatenate([strangers(rng, 960), same]))
        assert 0.3 < limit < 0.5


def test_strangers_alone_are_seldom_suspected() -> None:
    rng = np.random.default_rng(7)
    best = [strangers(rng, 1000) for _ in range(100)]
    assert sum((each > tail.implausible(each)).any() for each in best) <= 12


def test_too_few_searches_make_nobody_suspicious() -> None:
    assert tail.implausible(np.array([0.1, 0.9])) == math.inf
    assert tail.implausible(np.full(100, -1.0)) == math.inf
