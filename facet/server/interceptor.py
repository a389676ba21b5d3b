"""What happens to every call: who may, what went wrong, and a line in the log."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog
import uuid_utils
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from pydantic import SecretStr

from facet.server.errors import ShuttingDown, TransferStalled, Unauthenticated, UnreadableMessage
from facet.server.observability.telemetry import Telemetry
from facet.server.wire.errors import internal, to_status

_CHECK, _WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
_STATUS_KEY = "grpc-status-details-bin"
_FAREWELL_SECONDS = 1.0
"""For a client who has stood still for long enough, to take its status."""
_CODES = {code.value[0]: code for code in grpc.StatusCode}

_log = structlog.get_logger("facet.call")

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Authenticates calls, turns errors into statuses, has calls observed, and logs one line a call.

    Args:
        token: the bearer token that calls must bring; ``None`` lets everybody in.
        stall_seconds: how long a client may leave an answer of a stream untaken, or an upload without its next part.
        telemetry: who observes them.
        slow_seconds: from then on a request's line in the log is a warning, and tells its stages.
    """

    def __init__(
        self, token: SecretStr | None, stall_seconds: float, telemetry: Telemetry, slow_seconds: float
    ) -> None:
        self._stall_seconds = stall_seconds
        self._expected = None if token is None else f"Bearer {token.get_secret_value()}".encode()
        self._handlers: dict[str, _Handler] = {}
        self._telemetry = telemetry
        self._slow_seconds = slow_seconds
        self._open_calls = 0
        self._draining = False
        self._idle = asyncio.Event()

    @property
    def open_calls(self) -> int:
        """Calls that are open, watched health left out."""
        return self._open_calls

    async def drain(self, seconds: float) -> None:
        """Refuse calls from now on, and wait until those that are open have ended, at most so long."""
        self._draining = True
        if self._open_calls:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Wrap the handler of a call."""
        method = handler_call_details.method
        if method == _WATCH and not self._is_authentic(handler_call_details.invocation_metadata):
            # It never ends, and so is not counted as open; but who may not call may not hold calls open either.
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
        if handler.request_streaming and handler.response_streaming:
            return self._stream(handler, method)
        if handler.request_streaming:
            return self._upload(handler, method)
        if handler.response_streaming:
            return self._download(handler, method)
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary, method),
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _unary(self, behaviour: Any, method: str) -> Any:
        async def call(request: Any, context: _Context) -> Any:
            async def answer() -> Any:
                response = await behaviour(_readable(request), context)
                self._telemetry.answered(response)
                return response

            return await self._watched(answer, context, method, is_stream=False)

        return call

    def _stream(self, handler: Any, method: str) -> _Handler:
        async def call(requests: AsyncIterator[Any], context: _Context) -> None:
            readable = (_readable(request) async for request in requests)

            async def answer() -> None:
                async with aclosing(handler.stream_stream(readable, context)) as responses:
                    async for response in responses:
                        async with self._unless_stalled():
                            await context.write(response)
                        self._telemetry.answered(response)

            await self._watched(answer, context, method, is_stream=True)

        return grpc.stream_stream_rpc_method_handler(
            call,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _upload(self, handler: Any, method: str) -> _Handler:
        async def timely(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
            while True:
                async with self._unless_stalled():
                    request = await anext(requests, None)
                if request is None:
                    return
                yield _readable(request)

        async def call(requests: AsyncIterator[Any], context: _Context) -> Any:
            async def answer() -> Any:
                return await handler.stream_unary(timely(requests), context)

            return await self._watched(answer, context, method, is_stream=True)

        return grpc.stream_unary_rpc_method_handler(
            call,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _download(self, handler: Any, method: str) -> _Handler:
        async def call(request: Any, context: _Context) -> None:
            async def answer() -> None:
                async with aclosing(handler.unary_stream(_readable(request), context)) as responses:
                    async for response in responses:
                        async with self._unless_stalled():
                            await context.write(response)

            await self._watched(answer, context, method, is_stream=True)

        return grpc.unary_stream_rpc_method_handler(
            call,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    @asynccontextmanager
    async def _unless_stalled(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._stall_seconds):
                yield
        except TimeoutError:
            raise TransferStalled from None

    async def _watched(
        self, answer: Callable[[], Awaitable[Any]], context: _Context, method: str, *, is_stream: bool
    ) -> Any:
        """Run a call; whatever it raises ends it with a status that a client may see."""
        observed = self._telemetry.observe(
            method.rpartition("/")[2], is_stream=is_stream, parent=_traceparent(context.invocation_metadata())
        )
        request_id = str(uuid_utils.uuid7())
        log = _log.bind(method=method.removeprefix("/facet.v1."), request_id=request_id)
        self._open_calls += 1
        try:
            self._admit(context)
            return await answer()
        except asyncio.CancelledError:
            observed.cancelled()
            raise
        except Exception as error:
            if context.done():  # the client is gone, and what failed is to answer it
                observed.cancelled()
                return None
            observed.failed(error)
            status = to_status(error)
            if status is None:
                log.exception("call failed")
                status = internal(request_id)
            # A status follows what was written, so that a client who reads nothing does not take it either: then the
            # call ends without one.
            patience = _FAREWELL_SECONDS if isinstance(error, TransferStalled) else self._stall_seconds
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await _abort(context, status)
        finally:
            self._open_calls -= 1
            if self._draining and not self._open_calls:
                self._idle.set()
            seconds = observed.ended()
            said = {"code": observed.code, "ms": round(seconds * 1e3, 1)}
            if is_stream or seconds < self._slow_seconds:
                log.info("call", **said)
            else:
                stages = {f"{stage}_ms": round(taken * 1e3, 1) for stage, taken in observed.stopwatch.seconds().items()}
                log.warning("call", **said, **stages)

    def _admit(self, context: _Context) -> None:
        self._authenticate(context)
        if self._draining:
            raise ShuttingDown

    def _authenticate(self, context: _Context) -> None:
        if not self._is_authentic(context.invocation_metadata()):
            raise Unauthenticated

    def _is_authentic(self, metadata: Any) -> bool:
        if self._expected is None:
            return True
        given = [value for key, value in metadata or () if key == "authorization"]
        said = given[0] if len(given) == 1 else b""
        return hmac.compare_digest(said.encode() if isinstance(said, str) else said, self._expected)


def _traceparent(metadata: Any) -> str:
    return next((value for key, value in metadata or () if key == "traceparent"), "")


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Let what cannot be read through, for :func:`_readable` to refuse where errors are given a status."""

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


async def _refuse(_request: Any, context: _Context) -> None:
    status = to_status(Unauthenticated())
    await _abort(context, status if status else internal(""))


async def _abort(context: _Context, status: Status) -> NoReturn:
    details = ((_STATUS_KEY, status.SerializeToString()),)
    await context.abort(_CODES[status.code], status.message, trailing_metadata=details)
