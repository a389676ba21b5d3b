"""A server that limits what each caller may call, and how much it may have open."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from facet import Client, ResourceExhausted, stream_frame
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from tests.faults.server.calls.raw_calls import RawConnection
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving, Start

T = TypeVar("T")


@pytest.fixture(scope="module")
def limited(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    flags = ("--access.calls-per-second", "2", "--access.concurrent-calls", "2", "--server.reflection", "off")
    folder = tmp_path_factory.mktemp("limited")
    serving = start(folder, *flags, "--metrics.port", "0", "--models.objects", "none")
    yield serving
    serving.stop()


@pytest.fixture
def strict(serve: Serve) -> Serving:
    """At this rate, calls do not come back before the next one, also on a machine that is slow."""
    flags = ("--access.calls-per-second", "0.5", "--metrics.port", "0", "--models.objects", "none")
    return serve(*flags)


def ask(client: Client) -> None:
    client.server.GetServerInfo(server_pb.GetServerInfoRequest())


def refusal(call: Callable[[], object], reason: str) -> ResourceExhausted:
    """Repeat a call until it is refused for a reason; it comes back when it is told to."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            call()
        except ResourceExhausted as error:
            if error.reason == reason:
                return error
            time.sleep(error.retry_after or 0)
    pytest.fail(f"never refused with {reason}")


def accepted(call: Callable[[], T]) -> T:
    """Repeat a call until it is accepted; it comes back when it is told to."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            return call()
        except ResourceExhausted as error:
            time.sleep(error.retry_after or PATIENCE)
    pytest.fail("never accepted")


def scrape(serving: Serving) -> str:
    with urllib.request.urlopen(f"http://{serving.said['metrics_address']}/metrics", timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def test_a_caller_that_calls_too_often_is_told_when_to_come_back_and_its_other_connections_too(
    strict: Serving,
) -> None:
    with Client(strict.address, timeout=PATIENCE) as client, Client(strict.address, timeout=PATIENCE) as another:
        for each in (client, another):
            error = refusal(partial(ask, each), "CALLER_RATE_EXCEEDED")
            assert 0 < (error.retry_after or 0) <= 4
        accepted(lambda: ask(client))
    assert 'facet_caller_limited_total{caller="anonymous",how="rate"}' in scrape(strict)


def test_a_health_check_is_answered_whatever_its_caller_has_called(limited: Serving) -> None:
    with grpc.insecure_channel(limited.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for _ in range(20):
            assert stub.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING


def test_a_batch_is_slower_and_loses_no_item(limited: Serving, pictures: Pictures) -> None:
    with Client(limited.address) as client:
        accepted(lambda: client.create_gallery("slow"))
        items = [(str(number), pictures.yaoming) for number in range(4)]
        answers = accepted(lambda: list(client.identify_batch("slow", items)))
    assert sorted(number for number, _ in answers) == ["0", "1", "2", "3"]
    assert all(isinstance(answer, pb.IdentifyResponse) for _, answer in answers)
    assert 'facet_caller_limited_total{caller="anonymous",how="waited"}' in scrape(limited)


def test_a_camera_drops_frames_and_a_lossless_stream_waits(limited: Serving, pictures: Pictures) -> None:
    frames = [stream_frame(number, pictures.yaoming) for number in range(1, 5)]
    with Client(limited.address) as client:
        accepted(lambda: client.create_gallery("film"))
        for lossless in (True, False):
            settings = pb.StreamSettings(gallery_id="film", lossless=lossless)
            answers = accepted(partial(answered, client, settings, frames))
            assert [answer.status.code for answer in answers] == [0] * len(answers)
            assert len(answers) + answers[-1].dropped == len(frames)
            assert answers[-1].frame_id == len(frames), "the newest frame is answered"
            assert not (lossless and answers[-1].dropped)


def answered(
    client: Client, settings: pb.StreamSettings, frames: list[pb.StreamFrame]
) -> list[pb.IdentifyStreamResponse]:
    return list(client.identify_stream(settings, frames))


def test_a_caller_with_too_many_open_calls_is_refused_until_one_ends(limited: Serving) -> None:
    with Client(limited.address) as client:
        with RawConnection(limited.address) as connection:

            def open_one_more() -> None:
                connection.open("/facet.v1.RecognitionService/IdentifyStream")
                ask(client)

            assert refusal(open_one_more, "CALLER_CONCURRENCY_EXCEEDED").retry_after
        accepted(lambda: ask(client))
    assert 'facet_caller_limited_total{caller="anonymous",how="concurrency"}' in scrape(limited)


def test_reflection_that_is_off_is_an_unknown_method(limited: Serving) -> None:
    with grpc.insecure_channel(limited.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        with pytest.raises(grpc.RpcError):
            list(call)
        assert call.code() is grpc.StatusCode.UNIMPLEMENTED
