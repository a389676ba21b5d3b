"""Calls that are wrong below their messages: each has a status, and is counted."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc
import pytest

from facet import Client, ResourceExhausted, picture
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.faults.server.calls.raw_calls import SERVER_INFO, RawConnection, framed

if TYPE_CHECKING:
    from tests.conftest import Serving, Start

TOKEN = "a-token-of-this-test"
MAX_BYTES = 2**16
EMPTY = framed(GetServerInfoRequest())
COMPRESSED = struct.pack(">BI", 1, 3) + b"abc"


@pytest.fixture(scope="module")
def serving(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    flags = ("--server.max-message-bytes", str(MAX_BYTES), "--models.objects", "none")
    serving = start(tmp_path_factory.mktemp("transport"), *flags, environment={"FACET_SERVER__TOKEN": TOKEN})
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def client(serving: Serving) -> Iterator[Client]:
    with Client(serving.address, token=TOKEN) as client:
        yield client


def counted(client: Client) -> Counter[tuple[str, str]]:
    """The refusals so far, by code and reason."""
    errors = client.server.GetServerInfo(GetServerInfoRequest()).errors
    return Counter({(each.code, each.reason): each.since_start for each in errors})


def counted_since(client: Client, before: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """Those since then, once there are any: the client sees a refusal of gRPC before the server does."""
    while not (since := counted(client) - before):
        pass
    return since


@pytest.mark.parametrize(
    "path", ["/facet.v1.ServerService/Nothing", "/nobody.Service/Nothing", "/grpc.health.v1.Health/X"]
)
def test_an_unknown_method_is_refused_with_a_reason_and_counted(serving: Serving, client: Client, path: str) -> None:
    before = counted(client)
    with RawConnection(serving.address, TOKEN) as known, RawConnection(serving.address, "wrong") as stranger:
        ended = known.ended(known.open(path))
        assert (ended.code, ended.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD")
        refused = stranger.ended(stranger.open(path))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert counted(client) - before == {
        ("UNIMPLEMENTED", "UNKNOWN_METHOD"): 1,
        ("UNAUTHENTICATED", "UNAUTHENTICATED"): 1,
    }


def test_a_message_above_the_limit_is_refused_with_a_reason_and_counted(client: Client) -> None:
    before = counted(client)
    too_large = pb.DetectRequest(picture=picture(bytes(MAX_BYTES)))
    with pytest.raises(ResourceExhausted) as unary:
        client.recognition.Detect(too_large)
    item = pb.IdentifyBatchRequest(item_id="a", identification=pb.IdentifyRequest(picture=too_large.picture))
    with pytest.raises(ResourceExhausted) as stream:
        list(client.recognition.IdentifyBatch(iter([item])))
    for caught in (unary, stream):
        assert (caught.value.reason, caught.value.retry_after) == ("MESSAGE_TOO_LARGE", None)
    assert counted(client) - before == {("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE"): 2}


def test_a_far_too_large_message_is_refused_and_counted(client: Client) -> None:
    before = counted(client)
    with pytest.raises(ResourceExhausted):
        client.recognition.Detect(pb.DetectRequest(picture=picture(bytes(4 * 2**20))))
    assert counted_since(client, before) == {("CANCELLED", "REQUEST_INCOMPLETE"): 1}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (("grpc-timeout", "soon"), EMPTY),
        (("grpc-encoding", "unknown"), EMPTY),
        (("x-test-bin", "***"), EMPTY),
        (("grpc-encoding", "gzip"), COMPRESSED),
        (("x-test", "compressed without an encoding"), COMPRESSED),
    ],
)
def test_a_call_that_grpc_cannot_read_is_refused_and_counted(
    serving: Serving, client: Client, header: tuple[str, str], data: bytes
) -> None:
    before = counted(client)
    with RawConnection(serving.address, TOKEN) as connection:
        stream = connection.open(SERVER_INFO, header)
        connection.send(stream, data, end=True)
        assert connection.ended(stream).code is grpc.StatusCode.INTERNAL
    assert counted_since(client, before) == {("CANCELLED", "REQUEST_INCOMPLETE"): 1}


def test_only_the_first_message_of_a_unary_call_is_read(serving: Serving, client: Client) -> None:
    before = counted(client)
    with RawConnection(serving.address, TOKEN) as connection:
        stream = connection.open(SERVER_INFO)
        connection.send(stream, EMPTY + framed(b"no message"), end=True)
        assert connection.ended(stream).code is grpc.StatusCode.OK
    assert not counted(client) - before
