"""What an attack did to victims and server, computed from their calls and from readings of the process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facet.benchmarks.hostile.figures import (
    Attack,
    Call,
    Hostile,
    due_between,
    failures,
    growth,
    latency_back,
    memory_back,
    p99,
)
from facet.benchmarks.watched_server import Sample

PATIENCE = 5.0
HELD = Attack(
    name="nobody",
    what="does nothing",
    authenticated=False,
    did={},
    victim_p99_before_ms=20.0,
    victim_p99_ms=30.0,
    victim_p99_ratio=1.5,
    victim_p99_by_kind_ms={},
    victim_calls=10,
    victim_failures=0,
    failures={},
    internal_errors=0,
    rss_growth_mb=300.0,
    thread_growth=0,
    descriptor_growth=0,
    recovered_s=2.0,
    stray_log_lines=0,
    died=False,
)


def call(due: float, seconds: float = 0.02, outcome: str | None = "") -> Call:
    return Call("identify", due, due + seconds, outcome)


def readings(*megabytes: float) -> list[Sample]:
    return [Sample(float(at), each, 10, 20) for at, each in enumerate(megabytes)]


def test_a_failed_call_counts_as_if_it_had_taken_all_its_time() -> None:
    refused_at_once = call(0, 0.001, "QUEUE_FULL")
    assert refused_at_once.milliseconds(PATIENCE) == 5000
    assert p99([refused_at_once], PATIENCE) == 5000
    assert call(0, 0.25).milliseconds(PATIENCE) == 250


def test_the_percentile_of_no_calls_is_zero() -> None:
    assert p99([], PATIENCE) == 0


def test_calls_belong_to_the_time_at_which_they_were_due() -> None:
    calls = [call(0.9, 3.0), call(1.0), call(2.0)]
    assert due_between(calls, 1.0, 2.0) == [calls[1]]


def test_failures_are_counted_by_kind_and_reason() -> None:
    calls = [call(0), call(1, outcome="QUEUE_FULL"), call(2, outcome="QUEUE_FULL"), call(3, outcome=None)]
    assert failures(calls) == {"identify: QUEUE_FULL": 2}


@pytest.mark.parametrize(
    ("slow", "back"),
    [((), 0.0), ((0,), 0.1), ((0, 1, 2), 0.3), ((0, 4, 8), 0.9), ((15,), 0.0), ((0, 15), 0.1), (range(20), None)],
    ids=["never slow", "one", "three", "with pauses", "a later outlier", "one and an outlier", "always slow"],
)
def test_latency_is_back_at_the_first_half_second_without_a_slow_call(slow: range, back: float | None) -> None:
    calls = [call(10 + at / 10, 1.0 if at in slow else 0.02) for at in range(20)]
    found = latency_back(calls, 10.0, 100.0, PATIENCE)
    assert found == (None if back is None else pytest.approx(back))


def test_latency_is_not_back_while_a_call_is_open_or_fails() -> None:
    answered = [call(10 + at / 10) for at in range(1, 10)]
    for bad in (call(10, outcome=None), call(10, outcome="UNAVAILABLE")):
        assert latency_back([bad, *answered], 10.0, 100.0, PATIENCE) == pytest.approx(0.1)


def test_latency_is_not_back_before_enough_calls_were_seen() -> None:
    assert latency_back([], 10.0, 100.0, PATIENCE) is None
    assert latency_back([call(10.0), call(10.4)], 10.0, 100.0, PATIENCE) is None


def test_memory_is_back_when_it_stays_below_its_limit() -> None:
    samples = readings(100, 900, 200, 900, 200, 100)
    assert memory_back(samples, 1.0, 300) == 3.0
    assert memory_back(samples, 4.0, 300) == 0.0
    assert memory_back(samples[:4], 1.0, 300) is None
    assert memory_back(samples, 9.0, 300) is None, "nothing was read after the attack"


def test_growth_is_the_most_over_the_idle_server_and_never_negative() -> None:
    idle = Sample(0, 500, 12, 10)
    most = growth(readings(400, 750, 600), idle)
    assert (most.rss_mb, most.threads, most.descriptors) == (250, 0, 10)


def test_the_result_is_the_worst_of_every_figure() -> None:
    other = replace(HELD, name="other", victim_p99_ratio=1.2, rss_growth_mb=400.0, victim_failures=3)
    document = Hostile([HELD, other], {}, 1.0).document()
    assert document["victim_p99_ratio"] == 1.5
    assert document["victim_failures"] == 3
    assert document["internal_errors"] == 0
    assert document["rss_growth_mb"] == 400
    assert document["recovered_s"] == 2
    assert not document["within_bars"]
    assert [attack["name"] for attack in document["attacks"]] == ["nobody", "other"]


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"victim_p99_ratio": 1.51}, ["latency"]),
        ({"victim_failures": 1}, ["failures"]),
        ({"internal_errors": 1}, ["internal errors"]),
        ({"rss_growth_mb": 300.1}, ["memory"]),
        ({"recovered_s": 2.01}, ["recovery"]),
        ({"died": True, "victim_failures": 9}, ["the server died", "failures"]),
    ],
)
def test_a_figure_on_its_bar_is_within_it(change: dict[str, float], missed: list[str]) -> None:
    assert replace(HELD, **change).missed() == missed  # type: ignore[arg-type]
