"""Percentiles of durations: their accuracy, the last minute, and their memory."""

from __future__ import annotations

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facet.server.observability.latencies import RELATIVE_ERROR, Latencies

DURATIONS = st.lists(st.floats(1e-6, 3600.0), min_size=1, max_size=300)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def exact(durations: list[float], share: float) -> float:
    """The percentile by the nearest-rank method."""
    return sorted(durations)[math.ceil(share * len(durations)) - 1]


@given(DURATIONS)
def test_percentiles_are_within_one_percent_of_the_exact_ones(durations: list[float]) -> None:
    latencies: Latencies[str] = Latencies()
    for seconds in durations:
        latencies.observe({"stage": seconds})
    found = latencies.all()["stage"].since_start
    assert found.count == len(durations)
    for value, share in ((found.p50, 0.5), (found.p95, 0.95), (found.p99, 0.99)):
        assert value == pytest.approx(exact(durations, share), rel=RELATIVE_ERROR * 1.0001)


def test_a_duration_leaves_the_last_minute_after_a_minute() -> None:
    clock = Clock()
    latencies: Latencies[str] = Latencies(clock)
    latencies.observe({"stage": 1.0})
    clock.now += 54
    latencies.observe({"stage": 0.1})
    assert latencies.all()["stage"].last_minute.count == 2
    clock.now += 7
    latency = latencies.all()["stage"]
    assert (latency.since_start.count, latency.last_minute.count) == (2, 1)
    assert latency.last_minute.p99 == pytest.approx(0.1, rel=RELATIVE_ERROR)
    clock.now += 3600
    latency = latencies.all()["stage"]
    assert (latency.since_start.count, latency.last_minute.count, latency.last_minute.p99) == (2, 0, 0.0)


def test_a_slice_of_the_ring_is_cleared_when_it_is_reused() -> None:
    clock = Clock()
    latencies: Latencies[str] = Latencies(clock)
    latencies.observe({"stage": 1.0})
    clock.now += 60
    latencies.observe({"stage": 0.1})
    assert latencies.all()["stage"].last_minute.count == 1


def test_each_name_has_its_own_percentiles() -> None:
    latencies: Latencies[str] = Latencies()
    latencies.observe({"decode": 0.001, "embed": 0.01})
    latencies.observe({"embed": 0.02})
    assert {name: latency.since_start.count for name, latency in latencies.all().items()} == {"decode": 1, "embed": 2}


def test_a_duration_of_zero_counts() -> None:
    latencies: Latencies[str] = Latencies()
    latencies.observe({"queue": 0.0})
    assert latencies.all()["queue"].since_start.count == 1
    assert latencies.all()["queue"].since_start.p50 <= 1.01e-6


def test_memory_does_not_grow_with_the_number_of_durations() -> None:
    latencies: Latencies[str] = Latencies(Clock())

    def observe_many() -> None:
        for number in range(20_000):
            latencies.observe({"stage": 0.001 + number * 1e-6})

    observe_many()
    tracemalloc.start()
    try:
        observe_many()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 50_000, "keeping the durations would take at least 640,000 bytes"
