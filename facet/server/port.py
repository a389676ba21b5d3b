"""The port that the server listens on, and why it cannot be opened."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from facet.server.config import MetricsConfig, ServerConfig

_HANDSHAKE_SECONDS = 10
"""For TLS and the first frames of HTTP/2."""
_KEEPALIVE_SECONDS = 60
"""A connection with calls is asked for a sign of life after this time without data."""
_KEEPALIVE_ANSWER_SECONDS = 20
_WINDOW_BYTES = 256 * 2**10
_MAX_UNACCEPTED_CALLS = 10_000
"""Calls whose headers have arrived, but which the event loop has not looked at. Each takes about 10 KB, and a hundred
times that if its metadata is as large as gRPC permits to clients that do not acknowledge the server's settings."""
_MAX_STREAMS_PER_CONNECTION = 128
"""Further calls of a client wait in the client."""


class BindError(Exception):
    """The server cannot listen on the address."""


def connection_options(config: ServerConfig, max_connections: int) -> list[tuple[str, int]]:
    """Options of gRPC that bound each connection.

    Args:
        config: the configuration.
        max_connections: further connections are closed when they are accepted.
    """
    return [
        ("grpc.max_allowed_incoming_connections", max_connections),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_SECONDS * 1000),
        ("grpc.max_connection_idle_ms", round(config.idle_seconds * 1000)),
        ("grpc.keepalive_time_ms", _KEEPALIVE_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_ANSWER_SECONDS * 1000),
        # Clients send a keepalive ping every 20 seconds, also during calls without messages.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


def call_options(config: ServerConfig) -> list[tuple[str, int]]:
    """Options of gRPC that bound calls and their messages, and keep the port for this server."""
    return [
        # With its probe, gRPC receives megabytes of a stream that nobody reads from. Most pictures are smaller than the
        # window that it has instead, so they need not wait for the server to open it.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
        ("grpc.max_concurrent_streams", _MAX_STREAMS_PER_CONNECTION),
        # Beyond the first number, gRPC resets calls at random, those of victims of a flood as well.
        ("grpc.server.max_pending_requests", _MAX_UNACCEPTED_CALLS * 4 // 5),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_UNACCEPTED_CALLS),
        ("grpc.max_receive_message_length", config.receivable_bytes),
        ("grpc.max_send_message_length", -1),
        # A second server on the port is refused, instead of taking every other connection. The processes of one server
        # share theirs: the system gives each connection to one of them.
        ("grpc.so_reuseport", int(config.processes > 1)),
    ]


def listen(server: grpc.aio.Server, config: ServerConfig, credentials: grpc.ServerCredentials | None) -> str:
    """Open the port; returns host and actual port.

    Args:
        server: the server.
        config: the address.
        credentials: for TLS; ``None`` for none.

    Raises:
        BindError: the address is in use or is not one of this machine.
    """
    host = f"[{config.host}]" if ":" in config.host and not config.host.startswith("[") else config.host
    address = f"{host}:{config.port}"
    try:
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        raise BindError(_reason(config) or str(error)) from error
    return f"{host}:{port}"


@contextmanager
def shared_port(config: ServerConfig) -> Iterator[int]:
    """Keep the port for the processes of this server while the body runs; gives its number, also of a free one.

    Args:
        config: the address.

    Raises:
        BindError: the address is in use or is not one of this machine.
    """
    if reason := _reason(config):
        raise BindError(reason)
    # It does not listen, so it gets no connections.
    with _socket(config, socket.SO_REUSEPORT) as held:
        yield held.getsockname()[1]


@contextmanager
def says_where_metrics_are(config: MetricsConfig) -> Iterator[None]:
    """Name the address of the metrics if the body cannot listen on it.

    Args:
        config: the address.

    Raises:
        BindError: the body raised OSError.
    """
    try:
        yield
    except OSError as error:
        raise BindError(f"cannot serve metrics on {config.host}:{config.port}: {error}") from error


def _reason(config: ServerConfig) -> str:
    """Why gRPC could not open the port: its error does not say. Tries the same with the standard library."""
    try:
        _socket(config, socket.SO_REUSEADDR).close()
    except OSError as error:
        return f"cannot listen on {config.host}:{config.port}: {(error.strerror or str(error)).lower()}"
    return ""


def _socket(config: ServerConfig, option: int) -> socket.socket:
    """A socket that is bound to the address."""
    found = socket.getaddrinfo(config.host.strip("[]"), config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
