"""The status of an asyncio stream that the server ends while the client is still writing (grpc/grpc#36066)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import permutations
from typing import Any

import grpc
import pytest

from facet import AlreadyExists, AsyncClient
from facet.v1.gallery_service_pb2 import ImportGalleryRequest

OF_THE_SERVER = grpc.aio.AioRpcError(
    grpc.StatusCode.ALREADY_EXISTS, grpc.aio.Metadata(), grpc.aio.Metadata(), "the gallery exists"
)
OF_THE_WRITE = grpc.aio.AioRpcError(
    grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), "Internal error from Core"
)


class EndingCall:
    """A call of gRPC's whose status is set twice: callbacks see the first one, who awaits it the last one."""

    def __init__(self, first: grpc.aio.AioRpcError, last: grpc.aio.AioRpcError) -> None:
        self._first, self._last = first, last

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)

    async def code(self) -> grpc.StatusCode:
        return self._first.code()

    async def details(self) -> str | None:
        return self._first.details()

    async def trailing_metadata(self) -> Any:
        return self._first.trailing_metadata()

    def __await__(self) -> Generator[Any, None, Any]:
        raise self._last
        yield


class EndingChannel:
    """A channel whose streams end so."""

    def __init__(self, call: EndingCall) -> None:
        self._call = call

    def __getattr__(self, kind: str) -> Callable[..., Callable[..., EndingCall]]:
        return lambda *_, **__: lambda *_, **__: self._call


@pytest.mark.parametrize("statuses", list(permutations([OF_THE_SERVER, OF_THE_WRITE])), ids=["before", "after"])
async def test_the_servers_status_is_told_whether_it_came_before_or_after_that_of_a_failed_write(
    statuses: tuple[grpc.aio.AioRpcError, grpc.aio.AioRpcError],
) -> None:
    channel: Any = EndingChannel(EndingCall(*statuses))
    with pytest.raises(AlreadyExists):
        await AsyncClient(channel=channel).galleries.ImportGallery(iter([ImportGalleryRequest()]))
