"""Reads the messages of streams until the server drains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from facet.server.errors import ShuttingDown

_Request = TypeVar("_Request")


class Intake:
    """Reads the messages of all streams of one kind."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Accept no more messages."""
        self._closed.set()

    async def next(self, requests: AsyncIterator[_Request]) -> _Request | None:
        """The next message of a stream; ``None`` at its end.

        Raises:
            ShuttingDown: the server accepts no more messages.
        """
        item: asyncio.Future[Any] = asyncio.ensure_future(anext(requests, None))
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait((item, closed), return_when=asyncio.FIRST_COMPLETED)
            if self._closed.is_set():
                raise ShuttingDown
            message: _Request | None = item.result()
            return message
        finally:
            for each in (item, closed):
                each.cancel()
            await asyncio.gather(item, closed, return_exceptions=True)
