"""Estimates of the cost of requests."""

from __future__ import annotations

import pytest

from facet.server.scheduling.cost_model import Cost, CostClass, CostModel

MEGAPIXEL = 2**20
IDENTIFY = CostClass.of("Identify", MEGAPIXEL)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_unknown_kind_costs_nothing() -> None:
    costs = CostModel(Clock())
    costs.observe(IDENTIFY, 0.1)
    assert costs.estimate(CostClass.of("Verify", MEGAPIXEL)) == Cost(0, 0)


def test_each_kind_has_its_own_estimate() -> None:
    costs = CostModel(Clock())
    costs.observe(CostClass.of("Identify", 0), 0.1)
    costs.observe(CostClass.of("Verify", 0), 0.2)
    assert (costs.estimate(CostClass.of("Identify", 0)).mean, costs.estimate(CostClass.of("Verify", 0)).mean) == (
        0.1,
        0.2,
    )


def test_large_pictures_do_not_change_the_estimate_of_small_ones() -> None:
    costs = CostModel(Clock())
    costs.observe(IDENTIFY, 0.03)
    for _ in range(100):
        costs.observe(CostClass.of("Identify", 50_000_000), 1.0)
    assert costs.estimate(IDENTIFY).mean == 0.03
    assert costs.estimate(CostClass.of("Identify", 50_000_000)).mean == pytest.approx(1.0)


def test_a_size_never_seen_costs_what_the_nearest_one_does_scaled_and_less_surely() -> None:
    costs = CostModel(Clock())
    costs.observe(IDENTIFY, 0.1)
    for _ in range(100):
        costs.observe(CostClass.of("Identify", 16 * MEGAPIXEL), 0.4)
    double, large = (costs.estimate(CostClass.of("Identify", factor * MEGAPIXEL)) for factor in (2, 32))
    assert double.mean == pytest.approx(0.1 * 2**0.5)
    assert large.mean == pytest.approx(0.4 * 2**0.5)
    assert large.deviation > costs.estimate(CostClass.of("Identify", 16 * MEGAPIXEL)).deviation


def test_there_are_few_sizes_whatever_pictures_claim() -> None:
    claimed = {0, 1, -5, 2**16, 2**40, 2**64, *(3**power for power in range(40))}
    assert {CostClass.of("Identify", pixels).octave for pixels in claimed} <= set(range(16))


def test_the_estimate_follows_a_change() -> None:
    costs = CostModel(Clock())
    costs.observe(IDENTIFY, 0.1)
    for _ in range(50):
        costs.observe(IDENTIFY, 0.3)
    assert costs.estimate(IDENTIFY).mean == pytest.approx(0.3, rel=0.01)


def test_the_margin_grows_with_the_variation() -> None:
    steady, varying = CostModel(Clock()), CostModel(Clock())
    for number in range(100):
        steady.observe(IDENTIFY, 0.1)
        varying.observe(IDENTIFY, 0.05 if number % 2 else 0.15)
    assert 0.1 < steady.estimate(IDENTIFY).upper_bound < 0.13
    assert varying.estimate(IDENTIFY).mean == pytest.approx(0.1, rel=0.1)
    assert varying.estimate(IDENTIFY).upper_bound > 0.2


def test_an_old_estimate_expires() -> None:
    clock = Clock()
    costs = CostModel(clock)
    costs.observe(IDENTIFY, 100.0)
    clock.now = 60.0
    assert costs.estimate(IDENTIFY) == Cost(0, 0)
    costs.observe(IDENTIFY, 0.1)
    assert costs.estimate(IDENTIFY).mean == 0.1


def test_what_ran_alone_is_expected_to_take_longer_while_all_workers_are_busy() -> None:
    costs = CostModel(Clock(), others=3, contention=0.5)
    costs.observe(IDENTIFY, 0.1, others=0)
    assert costs.estimate(IDENTIFY).mean == pytest.approx(0.1 * (1 + 0.5 * 3))


def test_what_ran_while_all_workers_were_busy_is_expected_as_it_was() -> None:
    costs = CostModel(Clock(), others=3, contention=0.5)
    costs.observe(IDENTIFY, 0.1, others=3)
    assert costs.estimate(IDENTIFY).mean == pytest.approx(0.1)


@pytest.mark.parametrize("actual", [0.0, 0.3, 1.0])
def test_contention_is_learned_from_the_same_work_alone_and_beside_others(actual: float) -> None:
    costs = CostModel(Clock(), others=1, contention=0.5)
    for number in range(300):
        others = number // 10 % 2
        costs.observe(IDENTIFY, 0.1 * (1 + actual * others), others=others)
    assert costs.contention == pytest.approx(actual, abs=0.1)
    assert costs.estimate(IDENTIFY).mean == pytest.approx(0.1 * (1 + actual), rel=0.1)
