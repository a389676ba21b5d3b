"""The messages of one call: read when there is room for them, and written only as fast as the client reads."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeAlias

import grpc

from facet.server.access.grants import Grant
from facet.server.audit import call as call_audit
from facet.server.calls.byte_budget import ByteBudget, Share
from facet.server.calls.method import Method
from facet.server.calls.pace import Pace
from facet.server.connections.activity import note_message
from facet.server.errors import MessageTooLarge, ServerError, TransferStalled, UnreadableMessage

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_CANCELLATION_SECONDS = 0.05
"""A cancelled call has no further request either. gRPC says a moment later that it was cancelled."""
_FIRST_SHARE = 1 / 6
"""Part of the budget that is kept for the first message of a stream: by default the largest message."""
_EXPECT_SECONDS = 1.0
"""Room is kept this long for a message of a stream that is being waited for."""

_current: ContextVar[Messages | None] = ContextVar("messages", default=None)


class Messages:
    """Reads the requests of a call and writes its responses.

    A request counts against the server's budget of bytes until the next one is read or the call ends, or as long as
    :func:`hold` says.

    Args:
        context: the call.
        method: its method.
        budget: the bytes that the server holds.
        caller: whose call it is.
        grant: its rights.
        max_bytes: how large a request may be.
        stall_seconds: how long a client may leave a response unread.
        pace: how long it may keep the server waiting in a transfer.

    Attributes:
        method: the method.
        pace: see above.
        waits_for_room: whether a message waits until the server holds fewer bytes.
    """

    def __init__(
        self,
        context: Context,
        method: Method,
        budget: ByteBudget,
        caller: str,
        grant: Grant,
        *,
        max_bytes: int,
        stall_seconds: float,
        pace: Pace,
    ) -> None:
        self._context = context
        self.method = method
        self._budget = budget
        self._caller = caller
        self._grant = grant
        self._audit = call_audit.current()
        self._max_bytes = max_bytes
        self._stall_seconds = stall_seconds
        self.pace = pace
        self._first: Any = None
        self._last = Share(budget, caller, 0)
        self._held: set[Share] = set()
        # Nothing tells the size of a message until gRPC has received it, and many streams could begin at the same time.
        # So a stream begins with the place of a large message, and gets by with less as its messages are smaller.
        self._expected = int(budget.max_bytes * _FIRST_SHARE) if method.is_stream else 0
        self.waits_for_room = False
        _current.set(self)

    async def read_first(self) -> None:
        """Read the first request, for :meth:`take_first`; raises what :meth:`read` raises."""
        self._first = await self.read()
        if self._first is None:
            await asyncio.sleep(_CANCELLATION_SECONDS)
            if not self.method.handler.request_streaming:
                raise UnreadableMessage

    def take_first(self) -> Any:
        """The first request, only once, so that it is not kept as long as a stream; ``None`` if a stream has none."""
        first, self._first = self._first, None
        return first

    async def read(self, waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext) -> Any:
        """The next request; ``None`` after the last.

        Args:
            waiting: entered while the server waits for the client, and not while the message waits for room.

        Raises:
            TooManyBytes: the server holds too many bytes.
            MessageTooLarge: it has too many bytes.
            MessageTooComplex: it has too many fields.
            UnreadableMessage: it is not the message that the method takes.
            GalleryNotPermitted: it names a gallery that the caller may not use.
        """
        self._last.release()
        expected = await self._roomy(self._budget.expect(self._caller, self._expected))
        # A camera that sends nothing for a while keeps no room from others.
        timer = asyncio.get_running_loop().call_later(_EXPECT_SECONDS, expected.release)
        data: Any = None
        try:
            async with waiting():
                data = await self._context.read()
            if data is grpc.aio.EOF:
                return None
            note_message(len(data))
            if len(data) > self._max_bytes:
                raise MessageTooLarge
            self._expected = max(len(data), self._expected // 2)
            self._last = await self._roomy(self._budget.take(self._caller, len(data), expected))
            request = self.method.parse(data)
            self._check(request)
            self._audit.requested(request)
        except ServerError as error:
            # Whoever keeps the error would keep the frames of its traceback, and these the message.
            raise error.with_traceback(None) from None
        else:
            return request
        finally:
            del data
            timer.cancel()
            expected.release()

    def _check(self, request: Any) -> None:
        try:
            self._grant.check(request)
        except ServerError:
            self._audit.refused(request)
            raise

    async def requests(self) -> AsyncIterator[Any]:
        """The requests of a stream, whose first has been read already."""
        request = self.take_first()
        while request is not None:
            yield request
            del request
            request = await self.read()

    async def transfer(self) -> AsyncIterator[Any]:
        """The same for a long transfer, which ends if the client is too slow.

        Raises:
            TransferStalled: the client does not send.
        """
        request = self.take_first()
        while request is not None:
            yield request
            del request
            request = await self.read(self.pace.waiting)
            if request is None:
                await asyncio.sleep(_CANCELLATION_SECONDS)
            self.pace.moved(self._last.size)

    async def write(self, response: Any) -> None:
        """Send a response.

        Raises:
            TransferStalled: the client does not read.
        """
        encoded = self.method.serialize(response)
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self._context.write(encoded)
        except TimeoutError:
            raise TransferStalled from None
        note_message()

    async def write_transfer(self, response: Any) -> None:
        """Send a part of a long transfer, which ends if the client is too slow.

        Raises:
            TransferStalled: the client does not read.
        """
        encoded = self.method.serialize(response)
        async with self.pace.waiting():
            await self._context.write(encoded)
            note_message()
        self.pace.moved(len(encoded))

    def hold_last(self) -> Callable[[], None]:
        """See :func:`hold`."""
        share, self._last = self._last, Share(self._budget, self._caller, 0)
        self._held.add(share)

        def release() -> None:
            self._held.discard(share)
            share.release()

        return release

    def close(self) -> None:
        """The server is done with the requests of this call."""
        self._first = None
        for share in (self._last, *self._held):
            share.release()
        self._held.clear()

    async def _roomy(self, waiting: Awaitable[Share]) -> Share:
        self.waits_for_room = True
        share = await waiting
        self.waits_for_room = False
        return share


def hold() -> Callable[[], None]:
    """Keep the request that the current call read last in the budget; returns the function that releases it.

    For streams that work on several requests at a time. Does nothing outside calls.
    """
    messages = _current.get()
    return (lambda: None) if messages is None else messages.hold_last()


def current_pace() -> Pace:
    """The pace of the current call; one without limits outside calls."""
    messages = _current.get()
    return Pace(math.inf, 1) if messages is None else messages.pace
