"""Which calls start, with gRPC's own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from facet.server.connections.activity import Activity
from facet.server.connections.gate import Gate

SECONDS = 30.0
UNLIMITED = (("grpc.max_metadata_size", 2**20), ("grpc.absolute_max_metadata_size", 2**20))
METHOD = "/test.Service/Method"


class Recorder(grpc.aio.ServerInterceptor):
    """Answers every call, and keeps how many entries of metadata each had, as gRPC's Python sees them."""

    def __init__(self) -> None:
        self.entries: list[int] = []

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        self.entries.append(len(tuple(handler_call_details.invocation_metadata)))
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, _request: Any, _context: Any) -> bytes:
        return b"answer"


@pytest.fixture
def activity() -> Activity:
    return Activity()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def channel(activity: Activity, recorder: Recorder) -> AsyncIterator[grpc.aio.Channel]:
    """A client of a server with a gate."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    Gate(activity).install(loop)
    server = grpc.aio.server(interceptors=[recorder], options=UNLIMITED)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=UNLIMITED) as channel:
        yield channel
    await server.stop(0)
    loop.set_task_factory(before)


def call(channel: Any, entries: int) -> Any:
    metadata = [(f"key-{number}", "value") for number in range(entries)]
    return channel.unary_unary(METHOD)(b"request", metadata=metadata, timeout=SECONDS)


async def test_calls_with_as_many_entries_as_grpc_permits_start(
    channel: grpc.aio.Channel, activity: Activity, recorder: Recorder
) -> None:
    for entries in (0, 1, 400):
        assert await call(channel, entries) == b"answer"
    assert len(recorder.entries) == 3
    assert recorder.entries[2] - recorder.entries[0] == 400
    assert not activity.misused.is_set()


async def test_a_call_with_more_entries_is_dropped_before_python_sees_them(
    channel: grpc.aio.Channel, activity: Activity, recorder: Recorder
) -> None:
    dropped = call(channel, 600)
    assert await asyncio.to_thread(activity.misused.wait, SECONDS)
    assert await call(channel, 0) == b"answer"
    assert len(recorder.entries) == 1
    with pytest.raises(grpc.aio.AioRpcError):
        await dropped
