"""Percentiles and stages of timed calls."""

from __future__ import annotations

import numpy as np
import pytest

from facet.evaluation.latency.report import STAGES, TimedCall, curves, latency_report, mean, percentile, stages_table


def test_a_percentile_is_one_of_the_values() -> None:
    values = np.arange(1.0, 1001.0)
    assert percentile(values, 50).value == 500
    assert percentile(values, 95).value == 950
    assert percentile(values[::-1], 99).value == 990


def test_percentile_intervals_contain_the_truth_at_their_confidence() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        figure = percentile(rng.exponential(size=200), 95)
        assert figure.low is not None
        assert figure.high is not None
        held += figure.low <= -np.log(0.05) <= figure.high
    assert held / 300 >= 0.92


def test_mean_intervals_contain_the_truth_at_their_confidence() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        figure = mean(rng.exponential(size=200))
        assert figure.low is not None
        assert figure.high is not None
        held += figure.low <= 1 <= figure.high
    assert 0.92 <= held / 300 <= 0.98
    assert mean(np.ones(1)).low is None


@pytest.mark.parametrize(("percent", "needed"), [(50, 2), (95, 20), (99, 100)])
def test_too_few_calls_have_a_note_instead_of_a_percentile(percent: int, needed: int) -> None:
    assert percentile(np.ones(needed), percent).value == 1
    assert percentile(np.ones(needed - 1), percent).note == f"too few calls: {needed - 1}, {needed} needed"


def test_stages_include_the_time_outside_the_server() -> None:
    stages = dict.fromkeys(STAGES, 1.0) | {"total": 8.0}
    calls = [TimedCall(f"{number % 2}.jpg", 10.0, tuple(stages.values())) for number in range(10)]
    report = latency_report(calls, seconds=2.0)
    assert (report["calls"], report["images"], report["mean_ms"].value, report["calls_per_second"]) == (
        10,
        2,
        10.0,
        5.0,
    )
    rows = {row["stage"]: row["mean_ms"] for row in stages_table(calls)}
    assert (rows["outside"], rows["total"], rows["embed"]) == (2.0, 8.0, 1.0)
    assert curves(calls)["waiting_call"]["y"][-1] == 1


def test_without_calls_figures_have_no_value() -> None:
    report = latency_report([], seconds=0.0)
    assert (report["p50_ms"].value, report["mean_ms"].value) == (None, None)
    assert curves([]) == {}
