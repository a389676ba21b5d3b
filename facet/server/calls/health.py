"""Lets the library's health service write to clients that do not read."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import grpc
from google.rpc.status_pb2 import Status

from facet.server.calls.messages import Context, Messages


class Refused(Exception):
    """The health service ends a call with a status."""

    def __init__(self, status: Status) -> None:
        super().__init__()
        self.status = status


class HealthContext:
    """The context of a health call.

    The library keeps a lock of all watchers while it writes to one of them, so :meth:`write` does not wait: a watcher
    that does not read would stop the others, and the server's shutdown.
    """

    def __init__(self) -> None:
        self._latest: Any = None
        self._written = asyncio.Event()

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with a status."""
        raise Refused(Status(code=code.value[0], message=details))

    async def write(self, response: Any) -> None:
        """Send a response to the watcher, unless a newer one comes before it is read."""
        self._latest = response
        self._written.set()

    async def send(self, messages: Messages) -> None:
        """Send what is written, for ever.

        Raises:
            TransferStalled: the watcher does not read.
        """
        while True:
            await self._written.wait()
            self._written.clear()
            await messages.write(self._latest)


async def check(handler: Any, messages: Messages, _: Context) -> bytes:
    """Answer Health/Check."""
    return messages.method.serialize(await handler.unary_unary(messages.take_first(), HealthContext()))


async def watch(handler: Any, messages: Messages, _: Context) -> None:
    """Answer Health/Watch until the client leaves."""
    context = HealthContext()
    watching = asyncio.ensure_future(handler.unary_stream(messages.take_first(), context))
    try:
        await context.send(messages)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
