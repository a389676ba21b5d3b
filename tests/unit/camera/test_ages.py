"""Percentiles of ages in bounded memory."""

from __future__ import annotations

import pytest

from facet.camera.ages import AgePercentiles, AgeStatistics


@pytest.fixture
def clock() -> list[float]:
    """The time, which a test sets."""
    return [0.0]


@pytest.fixture
def ages(clock: list[float]) -> AgeStatistics:
    return AgeStatistics(lambda: clock[0])


def test_there_are_no_percentiles_without_ages(ages: AgeStatistics) -> None:
    assert ages.overall() is None
    assert ages.last_minute() is None


def test_percentiles_are_exact_for_few_ages(ages: AgeStatistics) -> None:
    for number in range(101):
        ages.add(number / 100)
    found = ages.overall()
    assert found is not None
    assert (found.p50, found.p95) == pytest.approx((0.5, 0.95))
    assert ages.last_minute() == found


def test_the_last_minute_forgets_and_the_whole_does_not(ages: AgeStatistics, clock: list[float]) -> None:
    ages.add(1.0)
    clock[0] = 61.0
    assert ages.last_minute() is None
    ages.add(1.0)
    clock[0] = 90.0
    ages.add(1.0)
    assert ages.last_minute() == ages.overall() == AgePercentiles(1.0, 1.0)
    clock[0] = 130.0
    ages.add(3.0)
    recent, overall = ages.last_minute(), ages.overall()
    assert recent is not None
    assert (recent.p50, recent.p95) == pytest.approx((2.0, 2.9))
    assert overall is not None
    assert (overall.p50, overall.p95) == pytest.approx((1.0, 2.7))


def test_many_ages_are_sampled_evenly(ages: AgeStatistics) -> None:
    for number in range(100_000):
        ages.add(number / 100_000)
    found = ages.overall()
    assert found is not None
    assert found.p50 == pytest.approx(0.5, abs=0.03)
    assert found.p95 == pytest.approx(0.95, abs=0.02)
