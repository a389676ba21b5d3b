"""When requests of a load are due, and how their outcomes are summarised."""

from __future__ import annotations

import numpy as np
import pytest

from facet.benchmarks.serving.load import LATE, Call, schedule, summary


def call(due: float, end: float, *, sent: float | None = None, outcome: str = "") -> Call:
    return Call(due, due if sent is None else sent, end, outcome)


def test_even_arrivals_are_spaced_evenly() -> None:
    assert schedule(4, 1.5, "even").tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_even_arrivals_have_at_least_one_request() -> None:
    assert schedule(0.1, 1, "even").tolist() == [0.0]


def test_poisson_arrivals_have_the_rate_and_exponential_gaps() -> None:
    due = schedule(100, 100, "poisson")
    gaps = np.diff(due)
    assert len(due) == pytest.approx(10_000, rel=0.05)
    assert due[-1] < 100
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert (gaps > 0).all()


def test_poisson_arrivals_are_the_same_in_every_run() -> None:
    assert (schedule(10, 10, "poisson") == schedule(10, 10, "poisson")).all()


def test_latency_counts_from_the_due_time_of_a_request() -> None:
    point = summary([call(1.0, 1.5, sent=1.4)], 2)
    assert (point.p50_ms, point.p95_ms, point.p99_ms) == (500.0, 500.0, 500.0)
    assert point.lag_p99_ms == pytest.approx(400.0)


def test_refused_and_late_requests_count_neither_as_goodput_nor_in_latency() -> None:
    calls = [
        call(0.0, 0.1),
        call(0.5, 0.501, outcome="QUEUE_FULL"),
        call(1.0, 1.001, outcome="QUEUE_FULL"),
        call(1.0, 1.001, outcome="DEADLINE_TOO_SHORT"),
        call(1.5, 2.5, outcome=LATE),
    ]
    point = summary(calls, 2)
    assert (point.sent, point.answered, point.late) == (5, 1, 1)
    assert point.refused == {"DEADLINE_TOO_SHORT": 1, "QUEUE_FULL": 2}
    assert (point.offered_per_s, point.goodput_per_s) == (2.5, 0.5)
    assert point.p99_ms == 100.0


def test_answers_after_the_end_of_the_load_lower_goodput() -> None:
    calls = [call(at / 10, at / 5) for at in range(1, 11)]
    assert summary(calls, 1).goodput_per_s == 5.0


def test_a_load_without_answers_has_no_percentiles() -> None:
    point = summary([call(0.0, 0.1, outcome="QUEUE_FULL")], 1)
    assert (point.goodput_per_s, point.p50_ms, point.p99_ms) == (0.0, None, None)


def test_a_high_percentile_of_few_calls_is_the_slowest() -> None:
    point = summary([call(0.0, (at + 1) / 100) for at in range(10)], 1)
    assert point.p99_ms == 100.0
