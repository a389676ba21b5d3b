"""The impostor tail against known distributions and another implementation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import genpareto, norm

from gallery.calibration.impostor_tail import fit, pareto_moments, pareto_survival

COMPARED = 1871
SPREAD = 0.07


def nonmated(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw the maximum of many normal similarities by inversion."""
    return np.asarray(SPREAD * norm.ppf(rng.random(count) ** (1 / COMPARED)))


def true_fpir(similarity: float) -> float:
    return float(-np.expm1(COMPARED * norm.logsf(-similarity / SPREAD)))


@pytest.mark.parametrize(("shape", "scale"), [(-0.2, 0.02), (0.0, 0.02), (0.2, 0.5)])
def test_moments_recover_the_distribution(shape: float, scale: float) -> None:
    excesses = genpareto.rvs(shape, scale=scale, size=20_000, random_state=np.random.default_rng(0))
    found = pareto_moments(np.sort(excesses)[::-1], np.ones(len(excesses)))
    assert found == pytest.approx((shape, scale), abs=0.03, rel=0.03)


def test_moments_agree_with_maximum_likelihood() -> None:
    excesses = np.random.default_rng(1).exponential(0.02, 2000)
    shape, _, scale = genpareto.fit(excesses, floc=0)
    assert pareto_moments(np.sort(excesses)[::-1], np.ones(2000)) == pytest.approx((shape, scale), abs=0.05)


def test_a_weight_counts_like_repeated_excesses() -> None:
    rng = np.random.default_rng(2)
    excesses, weights = np.sort(rng.exponential(1.0, 300))[::-1], rng.integers(0, 3, 300)
    drawn = np.repeat(excesses, weights)
    assert pareto_moments(excesses, weights.astype(float)) == pytest.approx(pareto_moments(drawn, np.ones(len(drawn))))


@pytest.mark.parametrize("shape", [-0.3, -1e-9, 0.0, 0.4])
@pytest.mark.parametrize("excess", [0.0, 0.01, 0.1, 1.0])
def test_survival_agrees_with_scipy(shape: float, excess: float) -> None:
    assert pareto_survival(excess, shape, 0.05) == pytest.approx(genpareto.sf(excess, shape, scale=0.05), abs=1e-6)


@pytest.mark.parametrize(("count", "share", "model"), [(5000, 0.1, "empirical"), (5000, 0.003, "generalised Pareto")])
def test_a_threshold_has_about_the_wanted_fpir(count: int, share: float, model: str) -> None:
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(40):
        fitted = fit(nonmated(rng, count))
        threshold = fitted.threshold(share)
        assert fitted.model(threshold) == model
        assert fitted.fpir(threshold) == pytest.approx(share, rel=0.02)
        errors.append(math.log(true_fpir(threshold) / share))
    assert abs(np.mean(errors)) < 0.1
    assert np.std(errors) < 0.4


def test_a_threshold_is_the_lowest_float32_with_the_wanted_fpir() -> None:
    best = np.linspace(0.1, 0.4, 1000).astype(np.float32).astype(np.float64)
    fitted = fit(best)
    threshold = fitted.threshold(0.25)
    assert float(np.float32(threshold)) == threshold
    assert (best >= threshold).sum() == 250
    assert (best >= np.nextafter(np.float32(threshold), np.float32(-1))).sum() == 251


def test_fpir_falls_with_the_threshold_across_the_start_of_the_tail() -> None:
    fitted = fit(nonmated(np.random.default_rng(4), 800))
    shares = [fitted.fpir(similarity) for similarity in np.linspace(-1, 1, 4001)]
    assert shares[0] == 1
    assert all(more >= less for more, less in pairwise(shares))


def test_suspects_are_counted_but_do_not_shape_the_tail() -> None:
    best = nonmated(np.random.default_rng(5), 1000)
    plain, apart = fit(best), fit(best, np.array([0.9, 0.8]))
    assert (apart.shape, apart.scale) == (plain.shape, plain.scale)
    assert apart.fpir(0.85) == pytest.approx(1 / 1002 + plain.fpir(0.85) * 1000 / 1002)


@pytest.mark.parametrize("value", [-1.0, 0.3])
def test_equal_similarities_are_counted(value: float) -> None:
    fitted = fit(np.full(200, value))
    assert fitted.fpir(value) == 1
    assert fitted.fpir(value + 0.01) == 0
    assert fitted.threshold(0.01) == pytest.approx(value, abs=1e-6)
