"""A channel to a server, and the calls on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import grpc

from facet.client import channel as channels
from facet.client import tls
from facet.client.errors import from_rpc_error
from facet.client.health import HealthStub
from facet.v1.gallery_service_pb2_grpc import GalleryServiceStub
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceStub
from facet.v1.server_service_pb2_grpc import ServerServiceStub


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
        channel: grpc.Channel | None = None,
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
        calls = grpc.intercept_channel(self._channel, _Interceptor(channels.token_of(token), timeout))
        self.recognition = RecognitionServiceStub(calls)
        self.galleries = GalleryServiceStub(calls)
        self.server = ServerServiceStub(calls)
        self._health = HealthStub(calls)

    def close(self) -> None:
        """Close the connection. A channel that the caller passed in stays open."""
        if self._owns_channel:
            self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(
    address: str, token: channels.Token | None, options: Sequence[tuple[str, Any]], *certificates: bytes | None
) -> grpc.Channel:
    credentials = tls.credentials(*certificates)
    if credentials is not None:
        return grpc.secure_channel(address, credentials, options)
    tls.warn_of_token(address, token)
    return grpc.insecure_channel(address, options)


class _Interceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the token to calls and a deadline to unary calls, and turns their errors into FacetErrors."""

    def __init__(self, token: channels.Token | None, timeout: float) -> None:
        self._token, self._timeout = token, timeout

    def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return self._call(continuation, client_call_details, request, self._timeout)

    def intercept_unary_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return self._call(continuation, client_call_details, request)

    def intercept_stream_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Iterator[Any],
    ) -> Any:
        return self._call(continuation, client_call_details, request_iterator)

    def intercept_stream_stream(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Iterator[Any],
    ) -> Any:
        return self._call(continuation, client_call_details, request_iterator)

    def _call(
        self, continuation: Callable[[Any, Any], Any], details: Any, request: Any, default_timeout: float | None = None
    ) -> _Call:
        deadline = default_timeout if details.timeout is None else details.timeout
        metadata = channels.with_token(details.metadata, self._token)
        return _Call(continuation(details._replace(timeout=deadline, metadata=metadata), request))


class _Call:
    """A call under way, that fails with a FacetError."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._call.result(timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
