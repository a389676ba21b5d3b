"""Streams of items both ways, without loss: every item is answered, as it finishes, and one that fails fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import structlog
import uuid_utils
from google.rpc.status_pb2 import Status

from facet.server.errors import TransferStalled
from facet.server.observability import telemetry
from facet.server.streaming.intake import Intake
from facet.server.wire import validate
from facet.server.wire.errors import internal, to_status
from gallery.names import MAX_ID

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Answer = TypeVar("_Answer")

_log = structlog.get_logger("facet.batches")


class Batches:
    """What the streams of items have in common.

    Args:
        places: items of a stream that are worked on, wait for a worker, or wait for their answer to be taken.
        stall_seconds: how long a stream on which nothing is under way waits for its client's next item.
    """

    def __init__(self, *, places: int, stall_seconds: float) -> None:
        self._places = places
        self._stall_seconds = stall_seconds
        self._intake = Intake()

    def drain(self) -> None:
        """Take nothing more in: what was taken in is answered, then every stream ends."""
        self._intake.close()

    async def answers(
        self, requests: AsyncIterator[_Request], answer: Callable[[_Request], Awaitable[_Response]]
    ) -> AsyncGenerator[_Response, None]:
        """The answers to a stream of items, as they finish.

        An item keeps its place until its answer was taken from here: who does not read is not read from. Whatever
        the stream ends with, what was taken in is answered first.

        Args:
            requests: the items.
            answer: answers one; does not raise, see :func:`outcome`.

        Raises:
            TransferStalled: nothing came for too long, while nothing was under way here.
            ShuttingDown: the server takes nothing more in.
        """
        under_way: set[asyncio.Future[Any]] = set()
        coming: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._intake.next(requests))}
        failure: Exception | None = None
        try:
            while coming or under_way:
                # While something is under way here, it is not the client who is waited for.
                done, _ = await asyncio.wait(
                    under_way | coming if len(under_way) < self._places else under_way,
                    timeout=None if under_way else self._stall_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    raise TransferStalled
                finished = done & under_way
                for each in done & coming:
                    coming.remove(each)
                    try:
                        item = each.result()
                    except Exception as error:
                        failure = error
                        continue
                    if item is not None:
                        under_way.add(asyncio.ensure_future(_observed(answer, item)))
                        coming.add(asyncio.ensure_future(self._intake.next(requests)))
                for each in finished:
                    yield each.result()
                    under_way.remove(each)
            if failure is not None:
                raise failure
        finally:
            for each in under_way | coming:
                each.cancel()
            await asyncio.gather(*under_way, *coming, return_exceptions=True)


async def _observed(answer: Callable[[_Request], Awaitable[_Response]], item: _Request) -> _Response:
    with telemetry.item():
        return await answer(item)


async def outcome(item_id: str, answer: Callable[[], Awaitable[_Answer]]) -> tuple[str, Status, _Answer | None]:
    """What becomes of one item: its id as it is echoed, its status, and its answer where that is OK.

    Whatever the item fails with is its own status, and does not end the stream.
    """
    try:
        return validate.caller_id(item_id, "item_id"), Status(), await answer()
    except Exception as error:
        return item_id[:MAX_ID], in_band(error), None


def in_band(error: Exception) -> Status:
    """The status of an item that is answered with an error, which is noted."""
    telemetry.failed(error)
    status = to_status(error)
    if status is None:
        request_id = str(uuid_utils.uuid7())
        _log.error("item failed", request_id=request_id, exc_info=error)
        status = internal(request_id)
    return status
