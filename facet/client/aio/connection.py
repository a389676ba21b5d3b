"""A channel of asyncio to a server, and the calls on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from typing import Any, Self, TypeVar, cast

import grpc.aio

from facet.client import channel as channels
from facet.client import tls
from facet.client.errors import from_rpc_error
from facet.client.health import HealthStub
from facet.v1.gallery_service_pb2_grpc import GalleryServiceStub
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceStub
from facet.v1.server_service_pb2_grpc import ServerServiceStub

R = TypeVar("R")


class Connection:
    """A connection to a server. :class:`facet.Client` describes the arguments and attributes."""

    def __init__(
        self,
        address: str | None = None,
        *,
        token: channels.Token | None = None,
        root_certificates: bytes | None = None,
        certificate_chain: bytes | None = None,
        private_key: bytes | None = None,
        round_robin: bool = False,
        channel: grpc.aio.Channel | None = None,
        timeout: float = channels.DEFAULT_TIMEOUT,
    ) -> None:
        certificates = (root_certificates, certificate_chain, private_key)
        self._owns_channel = channel is None
        if channel is not None:
            channels.check_alone(address, *certificates, round_robin)
            self._channel = channel
        else:
            options = channels.options(round_robin=round_robin)
            self._channel = _open(channels.address_of(address), channels.token_of(token), options, *certificates)
        # grpc.aio takes interceptors only when it makes a channel, and the caller may have made this one.
        calls = cast("grpc.aio.Channel", _Calls(self._channel, channels.token_of(token), timeout))
        self.recognition = RecognitionServiceStub(calls)
        self.galleries = GalleryServiceStub(calls)
        self.server = ServerServiceStub(calls)
        self._health = HealthStub(calls)

    async def close(self) -> None:
        """Close the connection. A channel that the caller passed in stays open."""
        if self._owns_channel:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _open(
    address: str, token: channels.Token | None, options: Sequence[tuple[str, Any]], *certificates: bytes | None
) -> grpc.aio.Channel:
    credentials = tls.credentials(*certificates)
    if credentials is not None:
        return grpc.aio.secure_channel(address, credentials, options)
    tls.warn_of_token(address, token)
    return grpc.aio.insecure_channel(address, options)


_WRITE_FAILED = "Internal error from Core"
"""Details of the status that gRPC sets when a write fails."""


class _Calls:
    """The calls of a channel, with the token, a deadline for unary calls, and errors that are FacetErrors."""

    def __init__(self, channel: grpc.aio.Channel, token: channels.Token | None, timeout: float) -> None:
        self._channel, self._token, self._timeout = channel, token, timeout

    def unary_unary(self, *method: Any, **codec: Any) -> Callable[..., _Call]:
        return self._prepared(self._channel.unary_unary(*method, **codec), self._timeout)

    def unary_stream(self, *method: Any, **codec: Any) -> Callable[..., _Call]:
        return self._prepared(self._channel.unary_stream(*method, **codec))

    def stream_unary(self, *method: Any, **codec: Any) -> Callable[..., _Call]:
        return self._prepared(self._channel.stream_unary(*method, **codec))

    def stream_stream(self, *method: Any, **codec: Any) -> Callable[..., _Call]:
        return self._prepared(self._channel.stream_stream(*method, **codec))

    def _prepared(self, start: Callable[..., Any], default_timeout: float | None = None) -> Callable[..., _Call]:
        def call(*request: Any, timeout: float | None = None, metadata: Any = None, **options: Any) -> _Call:
            deadline = default_timeout if timeout is None else timeout
            return _Call(
                start(*request, timeout=deadline, metadata=channels.with_token(metadata, self._token), **options)
            )

        return call


class _Call:
    """A call under way, that fails with a FacetError."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._end: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._remember_end)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._response().__await__()

    async def _response(self) -> Any:
        try:
            return await self._call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(self._status(error)) from None

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for response in self._call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(self._status(error)) from None

    def _status(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """The status that the server sent, of the first and the last one of the call (grpc/grpc#36066).

        If the server ends a stream while a write is under way, the write fails and sets a status of its own, before or
        after that of the server.
        """
        return error if self._end is None or self._end.details() == _WRITE_FAILED else self._end

    def _remember_end(self, call: Any) -> None:
        """Keep the first status."""
        if self._end is None:
            code, details, metadata = map(_at_once, (call.code(), call.details(), call.trailing_metadata()))
            self._end = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details)


def _at_once(coroutine: Coroutine[Any, Any, R]) -> R:
    """What a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("R", end.value)
    coroutine.close()
    raise RuntimeError("a call that has ended has no status")
