"""When a client tries again, and when it gives up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from facet import FacetError, ResourceExhausted, from_status
from facet.client.retry import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Retry,
    retry_while_busy,
    retry_while_busy_async,
    service_config,
)

ASKED = st.none() | st.floats(0, 3600)
JITTER = st.floats(0, 1, exclude_max=True)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def busy(retry_after: float | None) -> FacetError:
    status = Status(code=8, message="the queue is full")
    if retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(retry_after * 1000))
        detail = Any()
        detail.Pack(RetryInfo(retry_delay=delay))
        status.details.append(detail)
    return from_status(status)


class Answers:
    """A call that is refused for as long as there are refusals."""

    def __init__(self, *refusals: FacetError) -> None:
        self.refusals = list(refusals)

    def __call__(self) -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        return "answered"

    async def later(self) -> str:
        return self()


@given(st.lists(ASKED, min_size=1, max_size=20), JITTER)
def test_retry_delay_is_positive_and_bounded(asked: list[float | None], jitter: float) -> None:
    retry = Retry(clock=Clock(), jitter=lambda: jitter)
    for seconds in asked:
        pause = retry.failed(seconds)
        assert pause is not None
        assert 0 < pause <= 1.25 * max(seconds or 0, LONGEST_PAUSE)


@given(st.lists(ASKED, min_size=1, max_size=20), JITTER, st.floats(0.1, 60))
def test_retry_never_waits_past_its_patience(asked: list[float | None], jitter: float, patience: float) -> None:
    clock = Clock()
    retry = Retry(patience, clock=clock, jitter=lambda: jitter)
    start = clock.now
    for seconds in asked:
        pause = retry.failed(seconds)
        if pause is None:
            break
        clock.now += pause
        assert clock.now <= start + patience + 1e-6


def test_retry_waits_at_least_as_long_as_the_server_asks() -> None:
    retry = Retry(clock=Clock(), jitter=lambda: 0.0)
    assert retry.failed(30) == 30
    assert retry.failed() == FIRST_PAUSE


def test_retry_gives_up_when_the_server_asks_for_more_than_is_left() -> None:
    clock = Clock()
    retry = Retry(10, clock=clock, jitter=lambda: 0.0)
    assert retry.failed(9) == 9
    clock.now += 9
    assert retry.failed(2) is None


def test_retry_delay_doubles_until_a_success() -> None:
    retry = Retry(clock=Clock(), jitter=lambda: 0.0)
    pauses = [retry.failed() or 0.0 for _ in range(9)]
    assert pauses[0] == FIRST_PAUSE
    assert all(later == min(2 * earlier, LONGEST_PAUSE) for earlier, later in pairwise(pauses))
    assert retry.failing
    retry.succeeded()
    assert not retry.failing
    assert retry.failed() == FIRST_PAUSE


def test_patience_counts_from_the_first_failure_in_a_row() -> None:
    clock = Clock()
    retry = Retry(10, clock=clock, jitter=lambda: 0.0)
    retry.failed()
    clock.now += 9
    retry.succeeded()
    clock.now += 9
    assert retry.failed() == FIRST_PAUSE
    clock.now += 10
    assert retry.failed() is None


def test_two_clients_do_not_come_back_together() -> None:
    assert Retry(jitter=lambda: 0.1).failed() != Retry(jitter=lambda: 0.9).failed()


async def test_a_busy_server_is_asked_again() -> None:
    assert retry_while_busy(Answers(busy(0), busy(0.01))) == "answered"
    assert await retry_while_busy_async(Answers(busy(0), busy(0.01)).later) == "answered"


async def test_a_request_that_is_too_large_is_not_sent_again() -> None:
    for call in (Answers(busy(None)), Answers(busy(3600))):
        with pytest.raises(ResourceExhausted):
            retry_while_busy(call)
        assert call() == "answered"
    with pytest.raises(ResourceExhausted):
        await retry_while_busy_async(Answers(busy(None)).later)


async def test_a_server_that_stays_busy_is_an_error_in_the_end() -> None:
    with pytest.raises(ResourceExhausted):
        retry_while_busy(Answers(busy(0), busy(0)), patience=0)
    with pytest.raises(ResourceExhausted):
        await retry_while_busy_async(Answers(busy(0), busy(0)).later, patience=0)


def test_grpc_repeats_only_the_calls_that_may_be_made_twice() -> None:
    (method,) = service_config([("a.Reading", ""), ("a.Writing", "Get")])["methodConfig"]
    assert method["name"] == [{"service": "a.Reading"}, {"service": "a.Writing", "method": "Get"}]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
