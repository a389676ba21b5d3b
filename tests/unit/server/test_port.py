"""Connections that never become one, or whose client is gone, are closed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from facet.server import port
from facet.server.config import ServerConfig
from facet.server.port import connection_options
from tests.faults.server.calls.raw_calls import RawConnection

PATIENCE = 60.0


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """A server with the options of Facet's, and a method that never answers."""

    async def wait(_: Any, __: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    server = grpc.aio.server(options=connection_options(ServerConfig(), 100))
    handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_unary_rpc_method_handler(wait)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test", {"Wait": handler})])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)


def until_closed(connection: socket.socket) -> None:
    """Take what the server sends, and answer nothing, until it closes the connection."""
    connection.settimeout(PATIENCE)
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        pass


@pytest.mark.parametrize("sent", [b"", b"PRI * HTTP/2.0\r\n"], ids=["nothing", "half a preface"])
async def test_a_connection_without_a_handshake_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(port, "_HANDSHAKE_SECONDS", 1)
    async with serving() as address:
        host, _, number = address.partition(":")
        with socket.create_connection((host, int(number)), timeout=PATIENCE) as connection:
            connection.sendall(sent)
            await asyncio.to_thread(until_closed, connection)


async def test_a_connection_whose_client_gives_no_sign_of_life_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "_KEEPALIVE_SECONDS", 1)
    monkeypatch.setattr(port, "_KEEPALIVE_ANSWER_SECONDS", 1)
    async with serving() as address:
        connection = await asyncio.to_thread(RawConnection, address)
        with connection:
            connection.open("/test/Wait")
            await asyncio.to_thread(until_closed, connection._socket)
