"""When a client tries again, and when it gives up."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from facet import Client, FacetError, ResourceExhausted, Unavailable, from_status, picture, stream_frame
from facet.client.channel import REPEATABLE
from facet.client.retry import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Retry,
    retry_while_busy,
    retry_while_busy_async,
    service_config,
)
from facet.v1 import gallery_service_pb2, recognition_service_pb2, server_service_pb2
from facet.v1.recognition_service_pb2 import DetectRequest, StreamSettings

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


def test_grpc_repeats_calls_by_their_names_while_no_server_answers() -> None:
    (method,) = service_config([("a.Reading", "List"), ("a.Writing", "Get")])["methodConfig"]
    assert method["name"] == [{"service": "a.Reading", "method": "List"}, {"service": "a.Writing", "method": "Get"}]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]


def test_grpc_repeats_no_stream_and_no_call_that_changes_something_twice() -> None:
    services = {
        service.full_name: service
        for file in (gallery_service_pb2, recognition_service_pb2, server_service_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
    }
    for service, name in REPEATABLE:
        method = services[service].methods_by_name[name]
        assert not method.client_streaming, name
        assert not method.server_streaming, name
        assert not name.startswith(("Create", "Update", "Delete")), name


@pytest.mark.parametrize("size", [0, 2**24], ids=["small", "as large as a server takes"])
def test_a_call_that_a_server_cancels_is_repeated(size: int) -> None:
    """As gRPC cancels those that arrive while the server stops, before the server has seen them."""
    attempts = []

    def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
        attempts.append(context)
        if len(attempts) == 1:
            context.abort(grpc.StatusCode.CANCELLED, "CANCELLED")
        return b""

    class Stopping(grpc.GenericRpcHandler):
        def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            return grpc.unary_unary_rpc_method_handler(answer)

    unlimited = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Stopping()], options=unlimited)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}") as client:
            client.recognition.Detect(DetectRequest(picture=picture(bytes(size))))
    finally:
        server.stop(None).wait()
    assert len(attempts) == 2


def test_a_stream_that_a_server_aborts_is_not_repeated_by_grpc() -> None:
    attempts = []

    def abort(_requests: object, context: grpc.ServicerContext) -> Iterator[bytes]:
        attempts.append(context)
        context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        yield b""

    class Aborting(grpc.GenericRpcHandler):
        def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            return grpc.stream_stream_rpc_method_handler(abort)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Aborting()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}") as client, pytest.raises(Unavailable):
            list(client.identify_stream(StreamSettings(gallery_id="g"), [stream_frame(1, b"picture")]))
    finally:
        server.stop(None).wait()
    assert len(attempts) == 1
