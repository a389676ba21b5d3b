"""Connections of this process, found and ended without the descriptor's owner."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from facet.server.connections import sockets
from facet.server.connections.sockets import Connection, Sockets

pytestmark = pytest.mark.skipif(not sockets.SUPPORTED, reason="needs Linux")

SECONDS = 10.0


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6])
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    host = "127.0.0.1" if request.param == socket.AF_INET else "::1"
    try:
        server = socket.create_server((host, 0), family=request.param)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        server.settimeout(SECONDS)
        yield server


def test_only_accepted_connections_of_the_port_are_found(listening: socket.socket) -> None:
    address, port = listening.getsockname()[:2]
    with ExitStack() as stack:
        other = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stack.enter_context(socket.create_connection(other.getsockname()))
        stack.enter_context(other.accept()[0])
        clients = [stack.enter_context(socket.create_connection((address, port))) for _ in range(3)]
        accepted = [stack.enter_context(listening.accept()[0]) for _ in clients]
        found = Sockets(port).connections()
        assert sorted(each.descriptor for each in found) == sorted(each.fileno() for each in accepted)
        assert {each.client for each in found} == {client.getsockname()[:2] for client in clients}


def test_bytes_are_counted_whether_or_not_they_were_read(listening: socket.socket) -> None:
    address, port = listening.getsockname()[:2]
    watched = Sockets(port)
    with socket.create_connection((address, port)) as client, listening.accept()[0] as accepted:
        assert [each.received for each in watched.connections()] == [0]
        client.sendall(bytes(1000))
        assert accepted.recv(1000, socket.MSG_WAITALL) == bytes(1000)
        client.sendall(bytes(500))
        assert len(accepted.recv(500, socket.MSG_PEEK | socket.MSG_WAITALL)) == 500
        assert [each.received for each in watched.connections()] == [1500]


def test_both_sides_see_the_end(listening: socket.socket) -> None:
    address, port = listening.getsockname()[:2]
    watched = Sockets(port)
    with socket.create_connection((address, port)) as client, listening.accept()[0] as accepted:
        client.settimeout(SECONDS)
        accepted.settimeout(SECONDS)
        (connection,) = watched.connections()
        assert watched.end(connection)
        assert accepted.recv(1) == b""
        assert client.recv(1) == b""


def test_a_descriptor_that_is_now_another_file_or_connection_is_left_alone(
    listening: socket.socket, tmp_path: Path
) -> None:
    address, port = listening.getsockname()[:2]
    watched = Sockets(port)
    with socket.create_connection((address, port)), socket.create_connection((address, port)) as second:
        second.settimeout(SECONDS)
        first_accepted, second_accepted = listening.accept()[0], listening.accept()[0]
        gone = next(each for each in watched.connections() if each.descriptor == first_accepted.fileno())
        with second_accepted:
            number = first_accepted.detach()
            os.dup2(second_accepted.fileno(), number)
            assert not watched.end(gone)
            with (tmp_path / "file").open("wb") as file:
                os.dup2(file.fileno(), number)
            assert not watched.end(gone)
            os.close(number)
            assert not watched.end(gone)
            second_accepted.sendall(b"still there")
            assert second.recv(11, socket.MSG_WAITALL) == b"still there"
            assert isinstance(gone, Connection)
