"""Estimates of the cost of requests."""

from __future__ import annotations

import pytest

from facet.server.scheduling.cost_model import Cost, CostModel, total


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_unknown_kind_costs_nothing() -> None:
    costs = CostModel(Clock())
    assert costs.estimate("Identify") == Cost(0, 0)


def test_each_kind_has_its_own_estimate() -> None:
    costs = CostModel(Clock())
    costs.observe("Identify", 0.1)
    costs.observe("Verify", 0.2)
    assert (costs.estimate("Identify").mean, costs.estimate("Verify").mean) == (0.1, 0.2)


def test_the_estimate_follows_a_change() -> None:
    costs = CostModel(Clock())
    costs.observe("Identify", 0.1)
    for _ in range(50):
        costs.observe("Identify", 0.3)
    assert costs.estimate("Identify").mean == pytest.approx(0.3, rel=0.01)


def test_the_margin_grows_with_the_variation() -> None:
    steady, varying = CostModel(Clock()), CostModel(Clock())
    for number in range(100):
        steady.observe("Identify", 0.1)
        varying.observe("Identify", 0.05 if number % 2 else 0.15)
    assert 0.1 < steady.estimate("Identify").upper_bound < 0.13
    assert varying.estimate("Identify").mean == pytest.approx(0.1, rel=0.1)
    assert varying.estimate("Identify").upper_bound > 0.2


def test_an_old_estimate_expires() -> None:
    clock = Clock()
    costs = CostModel(clock)
    costs.observe("Identify", 100.0)
    clock.now = 60.0
    assert costs.estimate("Identify") == Cost(0, 0)
    costs.observe("Identify", 0.1)
    assert costs.estimate("Identify").mean == 0.1


def test_deviations_of_a_sum_add_as_independent() -> None:
    many = total([Cost(0.1, 0.01)] * 100)
    assert many.mean == pytest.approx(10)
    assert many.deviation == pytest.approx(0.1)
    assert total([]) == Cost(0, 0)
