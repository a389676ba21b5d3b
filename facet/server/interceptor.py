"""Wraps the handler of every method, so that its calls run as :class:`facet.server.calls.Calls` and cannot stall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from pydantic import SecretStr

from facet.server.access.authentication import Authenticator
from facet.server.calls import Calls, Context, abort
from facet.server.errors import TransferStalled, Unauthenticated, UnreadableMessage
from facet.server.observability.telemetry import Telemetry
from facet.server.wire.errors import internal, to_status

_CHECK, _WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Authenticates, observes and logs calls, turns errors into statuses, and ends streams whose client stalls.

    Args:
        token: the bearer token that calls must carry; ``None`` accepts every call.
        stall_seconds: how long a client may leave an answer of a stream unread, or an upload without its next part.
        telemetry: observes the calls.
        slow_seconds: a unary call that takes longer is logged as a warning with its stages.
    """

    def __init__(
        self, token: SecretStr | None, stall_seconds: float, telemetry: Telemetry, slow_seconds: float
    ) -> None:
        self._stall_seconds = stall_seconds
        self._authenticator = Authenticator(token)
        self._telemetry = telemetry
        self._calls = Calls(self._authenticator, telemetry, stall_seconds=stall_seconds, slow_seconds=slow_seconds)
        self._handlers: dict[str, _Handler] = {}

    @property
    def open_calls(self) -> int:
        """The number of calls in progress, without health checks."""
        return self._calls.open

    async def drain(self, seconds: float) -> None:
        """Refuse new calls, and wait at most this long for those in progress."""
        await self._calls.drain(seconds)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Wrap the handler of a call."""
        method = handler_call_details.method
        if method == _WATCH:
            # A watch never ends, so it is not counted as open; but it needs the token, because it occupies a call.
            try:
                self._authenticator.authenticate(handler_call_details.invocation_metadata)
            except Unauthenticated:
                return grpc.unary_stream_rpc_method_handler(_refuse)
        if method not in self._handlers:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self._handlers[method] = self._wrapped(handler, method)
        return self._handlers[method]

    def _wrapped(self, handler: Any, method: str) -> _Handler:
        if method in (_CHECK, _WATCH):
            served: _Handler = handler
            return served
        match handler.request_streaming, handler.response_streaming:
            case True, True:
                make, behaviour = grpc.stream_stream_rpc_method_handler, self._bidirectional(handler, method)
            case True, False:
                make, behaviour = grpc.stream_unary_rpc_method_handler, self._upload(handler, method)
            case False, True:
                make, behaviour = grpc.unary_stream_rpc_method_handler, self._download(handler, method)
            case _:
                make, behaviour = grpc.unary_unary_rpc_method_handler, self._unary(handler, method)
        return make(
            behaviour,
            request_deserializer=_deferring_errors(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _unary(self, handler: Any, method: str) -> Any:
        async def call(request: Any, context: Context) -> Any:
            async def answer() -> Any:
                response = await handler.unary_unary(_readable(request), context)
                self._telemetry.answered(response)
                return response

            return await self._calls.run(answer, context, method, is_stream=False)

        return call

    def _bidirectional(self, handler: Any, method: str) -> Any:
        async def call(requests: AsyncIterator[Any], context: Context) -> None:
            readable = (_readable(request) async for request in requests)

            async def answer() -> None:
                async with aclosing(handler.stream_stream(readable, context)) as responses:
                    async for response in responses:
                        async with self._stall_limit():
                            await context.write(response)
                        self._telemetry.answered(response)

            await self._calls.run(answer, context, method, is_stream=True)

        return call

    def _upload(self, handler: Any, method: str) -> Any:
        async def timely(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
            while True:
                async with self._stall_limit():
                    request = await anext(requests, None)
                if request is None:
                    return
                yield _readable(request)

        async def call(requests: AsyncIterator[Any], context: Context) -> Any:
            async def answer() -> Any:
                return await handler.stream_unary(timely(requests), context)

            return await self._calls.run(answer, context, method, is_stream=True)

        return call

    def _download(self, handler: Any, method: str) -> Any:
        async def call(request: Any, context: Context) -> None:
            async def answer() -> None:
                async with aclosing(handler.unary_stream(_readable(request), context)) as responses:
                    async for response in responses:
                        async with self._stall_limit():
                            await context.write(response)

            await self._calls.run(answer, context, method, is_stream=True)

        return call

    @asynccontextmanager
    async def _stall_limit(self) -> AsyncIterator[None]:
        """Raise TransferStalled if the client does not read or send in time."""
        try:
            async with asyncio.timeout(self._stall_seconds):
                yield
        except TimeoutError:
            raise TransferStalled from None


def _deferring_errors(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Return an error instead of raising it, because gRPC would answer without a reason; see :func:`_readable`."""

    def read(data: bytes) -> Any:
        try:
            return deserialize(data) if deserialize else data
        except DecodeError:
            return UnreadableMessage()

    return read


def _readable(request: Any) -> Any:
    if isinstance(request, UnreadableMessage):
        raise request
    return request


async def _refuse(_request: Any, context: Context) -> None:
    await abort(context, to_status(Unauthenticated()) or internal(""))
