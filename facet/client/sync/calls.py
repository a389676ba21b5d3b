"""How the synchronous client makes its calls. Each function has a namesake in :mod:`facet.client.aio.calls`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic, Protocol, Self, TypeVar

from facet.client.errors import FacetError
from facet.client.pictures import PictureSource
from facet.client.pictures import picture as make_picture
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Picture

T = TypeVar("T")
R = TypeVar("R")

Items = Iterable[T]
"""Items that are produced on demand, on a thread of gRPC."""


class Page(Protocol):
    """A page of a list."""

    @property
    def next_page_token(self) -> str:
        """Names the next page; empty on the last."""
        ...


P = TypeVar("P", bound=Page)


def read(source: PictureSource) -> Picture:
    """Make a message of a picture."""
    return make_picture(source)


def pages(ask: Callable[[str], P]) -> Iterator[P]:
    """All pages of a list; ``ask`` asks for one by its token."""
    token = ""
    while True:
        page = ask(token)
        yield page
        if not (token := page.next_page_token):
            return


def stream_requests(settings: pb.StreamSettings, frames: Items[pb.StreamFrame]) -> Iterator[pb.IdentifyStreamRequest]:
    """The messages of IdentifyStream: its settings, then the frames."""
    yield pb.IdentifyStreamRequest(settings=settings)
    for frame in frames:
        yield pb.IdentifyStreamRequest(frame=frame)


def pause(seconds: float) -> None:
    """Wait before a call is made again."""
    time.sleep(seconds)


def download(start: Callable[..., Iterable[R]], request: object, timeout: float | None) -> Generator[R, None, None]:
    """Send a request, and yield the responses. The call ends with the iteration."""
    call: Any = start(request, timeout=timeout)
    try:
        yield from call
    finally:
        call.cancel()


def upload(start: Callable[..., R], requests: Items[Any], timeout: float | None) -> R:
    """Send requests, and return the response. If making a request fails, that error is raised."""
    sending = _Sending(requests)
    try:
        return start(sending, timeout=timeout)
    except FacetError:
        if sending.error is not None:
            raise sending.error from None
        raise


def exchange(
    start: Callable[..., Iterable[R]], requests: Items[Any], timeout: float | None
) -> Generator[R, None, None]:
    """Send requests, and yield the responses as they come. If making a request fails, that error is raised."""
    sending = _Sending(requests)
    call: Any = start(sending, timeout=timeout)
    try:
        yield from call
    except FacetError:
        if sending.error is not None:
            raise sending.error from None
        raise
    finally:
        call.cancel()


class _Sending(Generic[T]):
    """Requests on their way to the server.

    Attributes:
        error: why making a request failed. gRPC does not pass that on.
    """

    def __init__(self, requests: Items[T]) -> None:
        self._requests = iter(requests)
        self.error: BaseException | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise
