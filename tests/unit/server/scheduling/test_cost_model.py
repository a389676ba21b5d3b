"""What requests are expected to cost."""

from __future__ import annotations

import pytest

from facet.server.scheduling.cost_model import Cost, Costs, total


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_never_seen_costs_nothing() -> None:
    costs = Costs(Clock())
    assert costs.of("Identify") == Cost(0, 0)


def test_kinds_are_told_apart() -> None:
    costs = Costs(Clock())
    costs.observe("Identify", 0.1)
    costs.observe("Verify", 0.2)
    assert (costs.of("Identify").mean, costs.of("Verify").mean) == (0.1, 0.2)


def test_the_estimate_follows_what_requests_cost_now() -> None:
    costs = Costs(Clock())
    costs.observe("Identify", 0.1)
    for _ in range(50):
        costs.observe("Identify", 0.3)
    assert costs.of("Identify").mean == pytest.approx(0.3, rel=0.01)


def test_the_more_costs_vary_the_wider_is_the_margin() -> None:
    steady, varying = Costs(Clock()), Costs(Clock())
    for number in range(100):
        steady.observe("Identify", 0.1)
        varying.observe("Identify", 0.05 if number % 2 else 0.15)
    assert 0.1 < steady.of("Identify").most < 0.13
    assert varying.of("Identify").mean == pytest.approx(0.1, rel=0.1)
    assert varying.of("Identify").most > 0.2


def test_what_was_not_seen_for_long_is_unknown_again() -> None:
    clock = Clock()
    costs = Costs(clock)
    costs.observe("Identify", 100.0)
    clock.now = 60.0
    assert costs.of("Identify") == Cost(0, 0)
    costs.observe("Identify", 0.1)
    assert costs.of("Identify").mean == 0.1


def test_of_many_some_take_longer_and_others_shorter() -> None:
    many = total([Cost(0.1, 0.01)] * 100)
    assert many.mean == pytest.approx(10)
    assert many.deviation == pytest.approx(0.1)
    assert total([]) == Cost(0, 0)
