"""Wraps the handlers of methods: the server reads their messages itself, and their calls run in :class:`Calls`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

import grpc

from facet.server.audit import call as call_audit
from facet.server.calls import health
from facet.server.calls.calls import Answer, Calls
from facet.server.calls.messages import Context, Messages
from facet.server.calls.method import Method
from facet.server.calls.refusals import Refusal
from facet.server.observability.telemetry import Telemetry
from facet.server.wire.errors import trailing_metadata

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Serves every method as a stream of bytes.

    gRPC would read and parse the request of a unary call before any code of the server runs. For a stream, it waits
    until it is asked for a message.

    Args:
        calls: runs the calls.
        telemetry: counts what is answered.
    """

    def __init__(self, calls: Calls, telemetry: Telemetry) -> None:
        self._calls = calls
        self._telemetry = telemetry
        self._handlers: dict[str, _Handler] = {}
        self._unknown: _Handler = grpc.stream_stream_rpc_method_handler(_serving(calls.refuse_unknown))

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """Wrap the handler of a call."""
        path = handler_call_details.method
        if path not in self._handlers:
            handler = await continuation(handler_call_details)
            if handler is None:
                return self._unknown
            self._handlers[path] = self._wrapped(Method(path, handler))
        return self._handlers[path]

    def _wrapped(self, method: Method) -> _Handler:
        if method.is_health:
            answer: Answer = partial(health.watch if method.is_stream else health.check, method.handler)
            run = partial(self._calls.run_health, method, answer)
        else:
            run = partial(self._calls.run, method, partial(self._answer(method), method.handler))
        serve = _serving(run)
        if method.handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(serve)
        return grpc.stream_unary_rpc_method_handler(serve)

    def _answer(self, method: Method) -> Any:
        match method.handler.request_streaming, method.handler.response_streaming:
            case True, True:
                return self._bidirectional
            case True, False:
                return self._upload
            case False, True:
                return self._download
            case _:
                return self._unary

    async def _unary(self, handler: Any, messages: Messages, context: Context) -> bytes:
        response = await handler.unary_unary(messages.take_first(), context)
        self._answered(response)
        return messages.method.serialize(response)

    async def _bidirectional(self, handler: Any, messages: Messages, context: Context) -> None:
        async with aclosing(handler.stream_stream(messages.requests(), context)) as responses:
            async for response in responses:
                await messages.write(response)
                self._answered(response)

    async def _upload(self, handler: Any, messages: Messages, context: Context) -> bytes:
        response = await handler.stream_unary(messages.transfer(), context)
        self._answered(response)
        return messages.method.serialize(response)

    async def _download(self, handler: Any, messages: Messages, context: Context) -> None:
        async with aclosing(handler.unary_stream(messages.take_first(), context)) as responses:
            async for response in responses:
                await messages.write_transfer(response)
                self._answered(response)

    def _answered(self, response: Any) -> None:
        self._telemetry.answered(response)
        call_audit.current().answered(response)


def _serving(run: Callable[[Context], Awaitable[bytes | Refusal | None]]) -> Any:
    """A handler as gRPC wants it."""

    async def serve(requests: Any, context: Context) -> bytes | None:
        answer = await run(context)
        if not isinstance(answer, Refusal):
            return answer
        await answer.due()
        status = answer.status
        metadata = trailing_metadata(status) if status.details else ()
        aborting = context.abort(_CODES[status.code], status.message, trailing_metadata=metadata)
        # gRPC keeps the error with the call. If the error's traceback led to the call, neither would be freed until the
        # garbage collector runs.
        del requests, context
        try:
            await aborting
        except grpc.aio.AbortError as error:
            raise error.with_traceback(None) from None
        return None

    return serve
