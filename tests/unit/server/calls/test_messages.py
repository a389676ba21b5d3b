"""The messages of a call."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from facet.server.access.grants import public
from facet.server.access.rules import Rule
from facet.server.calls.byte_budget import ByteBudget
from facet.server.calls.messages import Messages
from facet.server.calls.method import Method
from facet.server.calls.pace import Pace
from facet.v1 import gallery_service_pb2 as pb
from tests.waiting import turns, until_in_loop

FOREVER = 3600.0


class Upload:
    """A call of gRPC whose client has sent everything."""

    def __init__(self, *messages: pb.ImportGalleryRequest) -> None:
        self._left: list[Any] = [each.SerializeToString() for each in messages]

    async def read(self) -> Any:
        """The next message."""
        return self._left.pop(0) if self._left else grpc.aio.EOF


async def test_an_upload_that_waits_for_room_of_the_server_does_not_lag_behind() -> None:
    handler = grpc.stream_unary_rpc_method_handler(
        lambda requests, _: requests,
        request_deserializer=pb.ImportGalleryRequest.FromString,
        response_serializer=pb.ImportGalleryResponse.SerializeToString,
    )
    budget, pace = ByteBudget(60), Pace(FOREVER, 1.0)
    part: Any = pb.ImportGalleryRequest(chunk=b"P")
    call: Any = Upload(part, part)
    method = Method("/facet.v1.GalleryService/ImportGallery", handler)
    messages = Messages(call, method, budget, "a", public(Rule(None)), max_bytes=99, stall_seconds=FOREVER, pace=pace)
    await messages.read_first()
    transfer = messages.transfer()
    assert await anext(transfer) == part
    messages.hold_last()()
    other = await budget.take("b", 60, await budget.expect("b", 0))  # all of it
    upload = asyncio.ensure_future(anext(transfer))
    await until_in_loop(lambda: messages.waits_for_room)
    await turns()  # time passes that the client is not to blame for
    assert not pace.is_waiting
    assert pace.lag_seconds == 0
    other.release()
    assert await upload == part
    messages.close()
