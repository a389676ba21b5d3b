"""Calls that do not send their request, or do not take their answer: others are served, and the calls end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from facet import Client
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.faults.server.calls.raw_calls import IDENTIFY, SERVER_INFO, RawConnection, framed
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Serve, Serving, Start

TOKEN = "secret"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
PLACES = 4
WAITING = 256
"""Calls that may wait for their request."""
FLAGS = ("--models.objects", "none", "--server.max-concurrent-calls", str(PLACES), "--server.receive-seconds", "3")
ENVIRONMENT = {"FACET_SERVER__TOKEN": TOKEN}
LARGE = pb.IdentifyRequest(gallery_id="g" * 1_000_000).SerializeToString()


@pytest.fixture(scope="module")
def serving(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("few"), *FLAGS, environment=ENVIRONMENT)
    yield serving
    serving.stop()


def calls(serving: Serving) -> list[dict[str, Any]]:
    return [line for line in serving.log_lines() if line["event"] == "call"]


def serves_others(serving: Serving) -> None:
    """A client with the token is answered, and so is a health check."""
    with Client(serving.address, token=TOKEN) as client:
        assert client.server.GetServerInfo(GetServerInfoRequest()).version
    with grpc.insecure_channel(serving.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert (
            health.Check(health_pb2.HealthCheckRequest(), timeout=30).status == health_pb2.HealthCheckResponse.SERVING
        )


@pytest.mark.parametrize("path", [IDENTIFY, REFLECTION])
def test_calls_without_a_token_end_on_their_headers(serving: Serving, path: str) -> None:
    with RawConnection(serving.address) as connection:
        streams = [connection.open(path) for _ in range(100)]
        for stream in streams:  # no byte of a message has been sent
            assert connection.ended(stream).code is grpc.StatusCode.UNAUTHENTICATED
    serves_others(serving)


def test_calls_without_a_token_do_not_fill_the_log(serve: Serve) -> None:
    serving = serve("--models.objects", "none", "--server.token", "t", "--log.format", "json")
    with RawConnection(serving.address) as connection:
        for stream in [connection.open(IDENTIFY) for _ in range(100)]:
            connection.ended(stream)
    serving.stop()
    lines = serving.log_lines()
    own = [line for line in lines if line.get("code") == "UNAUTHENTICATED"]
    shared = [line["calls"] for line in lines if line["event"] == "calls without the token"]
    assert len(own) + sum(shared) == 100
    assert len(own) + len(shared) < 10


def test_reflection_takes_the_places_of_streams(serving: Serving) -> None:
    question = framed(reflection_pb2.ServerReflectionRequest(list_services=""))
    with RawConnection(serving.address, TOKEN) as connection:
        for _ in range(PLACES):
            stream = connection.open(REFLECTION)
            connection.send(stream, question)
            connection.answered(stream)
        for _ in range(PLACES):
            stream = connection.open(REFLECTION)
            connection.send(stream, question)
            ended = connection.ended(stream)
            assert (ended.code, ended.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        serves_others(serving)


@pytest.mark.parametrize("sent", [b"", framed(LARGE)[:500_000]], ids=["headers only", "half a message"])
def test_calls_without_their_request_hold_no_place_and_end(serving: Serving, sent: bytes) -> None:
    with RawConnection(serving.address, TOKEN) as connection:
        streams = [connection.open(IDENTIFY) for _ in range(3 * PLACES)]
        for stream in streams:
            connection.send(stream, sent)
        serves_others(serving)
        for stream in streams:
            ended = connection.ended(stream)
            assert (ended.code, ended.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "REQUEST_NOT_RECEIVED")


def test_the_oldest_calls_without_a_request_make_room_for_new_ones(serving: Serving) -> None:
    with ExitStack() as connections:
        flood = [connections.enter_context(RawConnection(serving.address, TOKEN)) for _ in range(3)]
        streams = [[connection.open(IDENTIFY) for _ in range(WAITING // 2)] for connection in flood]
        ended = flood[0].ended(streams[0][0])
        assert (ended.code, ended.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        serves_others(serving)


def test_unary_calls_whose_answer_is_not_taken_hold_no_place_for_long(serving: Serving) -> None:
    with RawConnection(serving.address, TOKEN, window=0) as connection:
        streams = [connection.open(SERVER_INFO) for _ in range(3 * PLACES)]
        for stream in streams:
            connection.send(stream, framed(GetServerInfoRequest()), end=True)
        serves_others(serving)
        # The last call that a server accepts stays with gRPC until the next one comes.
        serves_others(serving)
        for stream in streams:
            assert connection.ended(stream).over


def test_a_unary_call_that_ends_without_a_message_is_refused(serving: Serving) -> None:
    with RawConnection(serving.address, TOKEN) as connection:
        stream = connection.open(IDENTIFY)
        connection.send(stream, b"", end=True)
        ended = connection.ended(stream)
        assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE")


def test_calls_that_are_cancelled_before_their_request_are_no_errors(serving: Serving) -> None:
    before = len(calls(serving))
    with RawConnection(serving.address, TOKEN) as connection:
        streams = [connection.open(IDENTIFY) for _ in range(50)]
        last = connection.open(SERVER_INFO)  # when it is answered, the server has accepted the others
        connection.send(last, framed(GetServerInfoRequest()), end=True)
        connection.ended(last)
        for stream in streams:
            connection.reset(stream)
        until(lambda: len(calls(serving)) == before + len(streams) + 1)
    cancelled = [line for line in calls(serving)[before:] if line["method"] == IDENTIFY.removeprefix("/facet.v1.")]
    assert {line["code"] for line in cancelled} == {"CANCELLED"}
    serves_others(serving)


def test_watchers_that_do_not_read_disturb_neither_others_nor_the_shutdown(serve: Serve) -> None:
    serving = serve(*FLAGS, environment=ENVIRONMENT)
    with RawConnection(serving.address, TOKEN, window=0) as connection:
        for _ in range(10):
            stream = connection.open("/grpc.health.v1.Health/Watch")
            connection.send(stream, framed(b""), end=True)
        with grpc.insecure_channel(serving.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest(), metadata=[("authorization", f"Bearer {TOKEN}")]
            )
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            serving.process.terminate()
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert serving.stop() == 0
