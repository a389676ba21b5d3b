"""Bidirectional streams of items: each item is answered as it finishes, and fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import structlog
from google.rpc.status_pb2 import Status

from facet.server.access import limits
from facet.server.calls.messages import hold
from facet.server.errors import TransferStalled
from facet.server.observability import telemetry
from facet.server.streaming.intake import Intake
from facet.server.wire import validate
from facet.server.wire.errors import internal, to_status
from gallery.names import MAX_ID
from gallery.times import new_id

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Answer = TypeVar("_Answer")

_log = structlog.get_logger("facet.batches")


class Batches:
    """Serves streams of items.

    Args:
        places: maximum items of a stream that are in progress or whose answers are not read yet.
        stall_seconds: how long an idle stream waits for its client's next item.
    """

    def __init__(self, *, places: int, stall_seconds: float) -> None:
        self._places = places
        self._stall_seconds = stall_seconds
        self._intake = Intake()

    def drain(self) -> None:
        """Accept no more items: those accepted are answered, then every stream ends."""
        self._intake.close()

    async def answers(
        self, requests: AsyncIterator[_Request], answer: Callable[[_Request], Awaitable[_Response]]
    ) -> AsyncGenerator[_Response, None]:
        """Answer a stream of items, as they finish.

        An item keeps its place until its answer is taken from here, so a client that does not read answers is slowed
        down. However the stream ends, the items accepted are answered first.

        Args:
            requests: the items.
            answer: answers an item; must not raise, see :func:`outcome`.

        Raises:
            TransferStalled: the client sent nothing for too long while the stream was idle.
            ShuttingDown: the server accepts no more items.
        """
        in_progress: set[asyncio.Future[Any]] = set()
        reading: asyncio.Future[Any] | None = asyncio.ensure_future(self._intake.next(requests))
        failure: Exception | None = None
        try:
            while reading is not None or in_progress:
                is_full = len(in_progress) >= self._places
                # While items are in progress, the stream does not wait for its client.
                await asyncio.wait(
                    in_progress if is_full or reading is None else in_progress | {reading},
                    timeout=None if in_progress else self._stall_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                finished = [each for each in in_progress if each.done()]
                if reading is not None and not is_full and reading.done():
                    # From here on, nothing else refers to the item: it is freed as soon as it is done, even if the
                    # client does not read its answer.
                    reading, failure = self._begun(reading, requests, answer, in_progress)
                elif not finished:
                    raise TransferStalled
                for each in finished:
                    yield each.result()
                    in_progress.remove(each)
            if failure is not None:
                raise failure
        finally:
            left = [*in_progress, *([] if reading is None else [reading])]
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _begun(
        self,
        reading: asyncio.Future[Any],
        requests: AsyncIterator[_Request],
        answer: Callable[[_Request], Awaitable[_Response]],
        in_progress: set[asyncio.Future[Any]],
    ) -> tuple[asyncio.Future[Any] | None, Exception | None]:
        """Begin to answer the item that has been read; returns what reads the next one, or why there is none."""
        try:
            item = reading.result()
        except Exception as error:
            return None, error
        if item is None:
            return None, None
        in_progress.add(asyncio.ensure_future(_observed(answer, item, hold())))
        return asyncio.ensure_future(self._intake.next(requests)), None


async def _observed(
    answer: Callable[[_Request], Awaitable[_Response]], item: _Request, release: Callable[[], None]
) -> _Response:
    try:
        await limits.turn()
        with telemetry.item():
            return await answer(item)
    finally:
        release()


async def outcome(item_id: str, answer: Callable[[], Awaitable[_Answer]]) -> tuple[str, Status, _Answer | None]:
    """Answer one item: the id to echo, the status, and the answer if that is OK.

    An error becomes the status of the item and does not end the stream.
    """
    try:
        return validate.caller_id(item_id, "item_id"), Status(), await answer()
    except Exception as error:
        return item_id[:MAX_ID], in_band(error), None


def in_band(error: Exception) -> Status:
    """The status of an item that failed; the error is counted, and logged if it is internal."""
    telemetry.failed(error)
    status = to_status(error)
    if status is None:
        request_id = new_id()
        _log.error("item failed", request_id=request_id, exc_info=error)
        status = internal(request_id)
    return status
