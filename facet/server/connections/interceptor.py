"""Counts the calls of every connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, TypeAlias

import grpc

from facet.server.connections.activity import Activity

_MAX_METADATA_BYTES = 32 * 1024
"""gRPC's own limit is 16 KB, but it holds only once the client has acknowledged the server's settings: a client that
does not may send megabytes, in a few kilobytes of references to one entry of HPACK's table."""
_ENTRY_BYTES = 32
"""What an entry of metadata takes beside its key and value (RFC 9113, section 6.5.2)."""

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class ActivityInterceptor(grpc.aio.ServerInterceptor):
    """Notes when a call of a connection begins and ends, health checks included.

    Args:
        activity: where it is noted.
    """

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._wrapped: dict[int, tuple[_Handler, _Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Wrap the handler of a call."""
        if _bytes_of(handler_call_details.invocation_metadata) > _MAX_METADATA_BYTES:
            return grpc.stream_stream_rpc_method_handler(self._refuse)
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        known, wrapped = self._wrapped.get(id(handler), (None, None))
        if known is not handler or wrapped is None:
            wrapped = self._wrap(handler)
            self._wrapped[id(handler)] = handler, wrapped
        return wrapped

    async def _refuse(self, _: Any, context: Any) -> None:
        self._activity.note_oversized(context.peer())
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the metadata of the call is too large")

    def _wrap(self, handler: Any) -> _Handler:
        match handler.request_streaming, handler.response_streaming:
            case True, True:
                make, behaviour = grpc.stream_stream_rpc_method_handler, handler.stream_stream
            case True, False:
                make, behaviour = grpc.stream_unary_rpc_method_handler, handler.stream_unary
            case False, True:
                make, behaviour = grpc.unary_stream_rpc_method_handler, handler.unary_stream
            case _:
                make, behaviour = grpc.unary_unary_rpc_method_handler, handler.unary_unary
        return make(
            self._counted(behaviour),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _counted(self, behaviour: Any) -> Any:
        if iscoroutinefunction(behaviour):

            async def call(request: Any, context: Any) -> Any:
                answering, peer = behaviour(request, context), context.peer()
                # An error of the call refers to this frame. If the frame referred to the call, neither would be freed
                # until the garbage collector runs.
                del request, context
                with self._activity.call(peer):
                    return await answering

            return call
        if isasyncgenfunction(behaviour):

            async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
                with self._activity.call(context.peer()):
                    async with aclosing(behaviour(request, context)) as responses:
                        async for response in responses:
                            yield response

            return stream
        return behaviour


def _bytes_of(metadata: Any) -> int:
    return sum(len(key) + len(value) + _ENTRY_BYTES for key, value in metadata or ())
