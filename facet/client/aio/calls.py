"""How the asynchronous client makes its calls. Each function has a namesake in :mod:`facet.client.sync.calls`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from facet.client.errors import FacetError
from facet.client.pictures import PictureSource
from facet.client.pictures import picture as make_picture
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Picture

T = TypeVar("T")
R = TypeVar("R")

Items = AsyncIterable[T] | Iterable[T]
"""Items that are produced on demand. A plain iterable is iterated on a thread, since it may block."""


class Page(Protocol):
    """A page of a list."""

    @property
    def next_page_token(self) -> str:
        """Names the next page; empty on the last."""
        ...


P = TypeVar("P", bound=Page)


async def read(source: PictureSource) -> Picture:
    """Make a message of a picture, on a thread if that may block."""
    if isinstance(source, (bytes, Picture)):
        return make_picture(source)
    return await asyncio.to_thread(make_picture, source)


async def pages(ask: Callable[[str], Awaitable[P]]) -> AsyncIterator[P]:
    """All pages of a list; ``ask`` asks for one by its token."""
    token = ""
    while True:
        page = await ask(token)
        yield page
        if not (token := page.next_page_token):
            return


async def stream_requests(
    settings: pb.StreamSettings, frames: Items[pb.StreamFrame]
) -> AsyncIterator[pb.IdentifyStreamRequest]:
    """The messages of IdentifyStream: its settings, then the frames."""
    yield pb.IdentifyStreamRequest(settings=settings)
    async for frame in _each(frames):
        yield pb.IdentifyStreamRequest(frame=frame)


async def pause(seconds: float) -> None:
    """Wait before a call is made again."""
    await asyncio.sleep(seconds)


async def download(
    start: Callable[..., AsyncIterable[R]], request: object, timeout: float | None
) -> AsyncGenerator[R, None]:
    """Send a request, and yield the responses. The call ends with the iteration."""
    call: Any = start(request, timeout=timeout)
    try:
        async for response in call:
            yield response
    finally:
        call.cancel()


async def upload(start: Callable[..., Awaitable[R]], requests: Items[Any], timeout: float | None) -> R:
    """Send requests, and return the response. If making a request fails, that error is raised."""
    sending = _Sending(requests)
    try:
        return await start(aiter(sending), timeout=timeout)
    except (FacetError, asyncio.CancelledError):
        if sending.error is not None:
            raise sending.error from None
        raise
    finally:
        sending.stop()


async def exchange(
    start: Callable[..., AsyncIterable[R]], requests: Items[Any], timeout: float | None
) -> AsyncGenerator[R, None]:
    """Send requests, and yield the responses as they come. If making a request fails, that error is raised."""
    sending = _Sending(requests)
    call: Any = start(aiter(sending), timeout=timeout)
    try:
        async for response in call:
            yield response
    except (FacetError, asyncio.CancelledError):
        if sending.error is not None:
            raise sending.error from None
        raise
    finally:
        call.cancel()
        sending.stop()


class _Sending(Generic[T]):
    """Requests on their way to the server.

    Attributes:
        error: why making a request failed. gRPC does not pass that on.
    """

    def __init__(self, requests: Items[T]) -> None:
        self._requests = requests
        self._task: asyncio.Task[Any] | None = None
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[T]:
        self._task = asyncio.current_task()
        try:
            async for request in _each(self._requests):
                yield request
        except Exception as error:
            self.error = error
            raise

    def stop(self) -> None:
        """Make no more requests. gRPC would still take one after the call ended."""
        if self._task is not None:
            self._task.cancel()


async def _each(items: Items[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    iterator = iter(items)

    def following() -> tuple[T] | None:
        return next(((item,) for item in iterator), None)

    while (made := await asyncio.to_thread(following)) is not None:
        yield made[0]
