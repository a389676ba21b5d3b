"""Every method, tried by every kind of caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.faults.server.calls.raw_calls import RawConnection
from tests.integration.server.trust.rights import NOT_SERVED, OPEN, SCOPES
from tests.integration.server.trust.rpcs import Rpc, all_rpcs
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.integration.server.trust.conftest import Guarded

GUARDED = [pytest.param(rpc, id=rpc.path) for rpc in all_rpcs() if rpc.path not in OPEN]


def outcome(guarded: Guarded, rpc: Rpc, authorization: str) -> tuple[grpc.StatusCode, str]:
    """How a call ends whose stream has one message, and the bytes of its details; OK once a stream has answered."""
    with grpc.insecure_channel(guarded.address) as channel:
        open_call: Any = channel.stream_stream(rpc.path, lambda request: request.SerializeToString(), bytes)
        request = rpc.request(dict.fromkeys(rpc.gallery_paths, "mine-that-is-missing"))
        call = open_call(iter([request]), metadata=[("authorization", authorization)], timeout=PATIENCE)
        try:
            next(call)
        except StopIteration:
            pass
        except grpc.RpcError:
            return call.code(), call.details()
        call.cancel()
        return grpc.StatusCode.OK, ""


def test_the_server_lists_the_services_that_are_tried_and_no_other(guarded: Guarded) -> None:
    with grpc.insecure_channel(guarded.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = stub.ServerReflectionInfo(asked, metadata=[("authorization", guarded.right("recognize"))])
    assert {each.name for each in answer.list_services_response.service} == {rpc.service for rpc in all_rpcs()}


@pytest.mark.parametrize("rpc", GUARDED)
def test_strangers_are_refused_on_the_headers_of_a_call_and_told_all_the_same(guarded: Guarded, rpc: Rpc) -> None:
    strangers = guarded.strangers()
    with RawConnection(guarded.address) as connection:
        streams = {
            kind: connection.open(rpc.path, *(("authorization", value) for value in values))
            for kind, values in strangers.items()
        }
        ended = {kind: connection.ended(stream) for kind, stream in streams.items()}
    assert {kind: (each.code, each.reason) for kind, each in ended.items()} == dict.fromkeys(
        strangers, (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    )
    assert len({tuple(sorted(each.headers.items())) for each in ended.values()}) == 1


def test_strangers_learn_of_no_method_whether_it_exists(guarded: Guarded) -> None:
    paths = (next(iter(SCOPES)), "/facet.v1.GalleryService/Nothing", "/nothing.Service/Nothing", "/")
    with RawConnection(guarded.address) as connection:
        ended = [connection.ended(connection.open(path)) for path in paths]
    assert len({tuple(sorted(each.headers.items())) for each in ended}) == 1


@pytest.mark.parametrize("rpc", GUARDED)
def test_the_right_caller_is_let_in(guarded: Guarded, rpc: Rpc) -> None:
    code, details = outcome(guarded, rpc, guarded.right(SCOPES.get(rpc.path, "")))
    refused = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    assert code not in refused, details
    assert (code is grpc.StatusCode.UNIMPLEMENTED) == (rpc.path in NOT_SERVED), details


def test_health_checks_need_nobody(guarded: Guarded) -> None:
    (check,) = (rpc for rpc in all_rpcs() if rpc.path in OPEN)
    for values in guarded.strangers().values():
        with grpc.insecure_channel(guarded.address) as channel:
            call: Any = channel.unary_unary(check.path, lambda request: request.SerializeToString(), bytes)
            call(check.request(), metadata=[("authorization", value) for value in values], timeout=PATIENCE)
