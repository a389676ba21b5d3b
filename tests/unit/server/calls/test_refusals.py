"""What a refused call leaves behind, and what a flood of them does to others."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

from facet.server.access.access import Access
from facet.server.access.limits import CallerLimits
from facet.server.calls import refusals
from facet.server.calls.calls import Calls
from facet.server.calls.interceptor import CallInterceptor
from facet.server.config import ServerConfig
from facet.server.connections.activity import Activity
from facet.server.connections.interceptor import ActivityInterceptor
from facet.server.errors import InvalidField
from facet.server.observability.telemetry import Telemetry
from facet.v1 import recognition_service_pb2 as pb

REFUSALS = 20


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """A server with one method, which refuses every request that names a gallery."""

    async def refuse(request: pb.IdentifyRequest, _: Any) -> pb.IdentifyResponse:
        if request.gallery_id:
            raise InvalidField("gallery_id", f"is {request.gallery_id!r}")
        return pb.IdentifyResponse()

    telemetry = Telemetry(())
    calls = Calls(ServerConfig(), Access(None), CallerLimits(), telemetry, slow_seconds=1.0)
    server = grpc.aio.server(
        interceptors=[ActivityInterceptor(Activity()), CallInterceptor(calls, telemetry)],
    )
    handler = grpc.unary_unary_rpc_method_handler(
        refuse,
        request_deserializer=pb.IdentifyRequest.FromString,
        response_serializer=pb.IdentifyResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("facet.v1.RecognitionService", {"Identify": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Without the garbage collector, only what nothing refers to is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def method(channel: grpc.aio.Channel) -> Any:
    """The method of the server."""
    return channel.unary_unary(
        "/facet.v1.RecognitionService/Identify", request_serializer=pb.IdentifyRequest.SerializeToString
    )


@pytest.mark.usefixtures("no_collection")
async def test_refused_calls_are_freed_without_the_garbage_collector(channel: grpc.aio.Channel) -> None:
    call = method(channel)
    for number in range(REFUSALS):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(pb.IdentifyRequest(gallery_id=str(number)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    del caught
    alive = [each for each in gc.get_objects() if isinstance(each, grpc.aio.AbortError | pb.IdentifyRequest)]
    assert len(alive) <= 2  # gRPC keeps the call that it accepted last


async def test_a_call_that_is_served_does_not_wait_for_the_refusals_of_a_flood(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_PER_SECOND", 1.0)
    call = method(channel)
    flood = [asyncio.ensure_future(call(pb.IdentifyRequest(gallery_id="x"))) for _ in range(100)]
    await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
    await call(pb.IdentifyRequest())
    assert not all(each.done() for each in flood)  # the last is due after a minute and a half
    for each in flood:
        each.cancel()
    ended = await asyncio.gather(*flood, return_exceptions=True)
    refused = [each.code() for each in ended if isinstance(each, grpc.aio.AioRpcError)]
    assert set(refused) == {grpc.StatusCode.INVALID_ARGUMENT}
