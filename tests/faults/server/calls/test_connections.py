"""Floods of connections, and connections that are of no use: others are served meanwhile."""

from __future__ import annotations

import resource
import select
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facet import Client
from facet.server.connections import sockets
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.certificates import make_certificate
from tests.faults.server.calls.raw_calls import IDENTIFY, RawConnection, framed
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Serve, Serving, Start

pytestmark = pytest.mark.skipif(not sockets.SUPPORTED, reason="needs Linux")

PATIENCE = 30.0
FLOOD = 1500
LIMIT = 200
MAX_GROWTH = 150 * 2**20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
"""The beginning of an HTTP/2 connection: the magic and empty SETTINGS."""


HEALTH_CHECK = b"".join(
    bytes((0, len(name))) + name + bytes((len(value),)) + value
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)
"""The headers of a call, as literals without indexing (HPACK)."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def connected(serving: Serving, first: bytes = b"") -> socket.socket:
    host, _, port = serving.address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
    connection.sendall(first)
    return connection


def metric(serving: Serving, name: str) -> float:
    with urllib.request.urlopen(f"http://{serving.said['metrics_address']}/metrics", timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])


def ended(serving: Serving, reason: str) -> float:
    return metric(serving, f'facet_connections_ended_total{{reason="{reason}"}}')


def answers(serving: Serving) -> bool:
    """Whether the server answers a client on a connection of its own."""
    with Client(serving.address) as client:
        return client.server.GetServerInfo(GetServerInfoRequest(), timeout=PATIENCE).embedding_dimension > 0


def send_until_ended(connection: socket.socket, data: bytes) -> None:
    """Send the same again and again, and read what is answered, until the server ends the connection."""
    with suppress(ConnectionError):
        while True:
            readable, writable, _ = select.select([connection], [connection] if data else [], [], PATIENCE)
            assert readable or writable
            if readable and not connection.recv(2**16):
                return
            if writable:
                connection.send(data)


@contextmanager
def descriptors(soft: int) -> Iterator[None]:
    """Limit the descriptors of processes that are started meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def serving(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with few connections."""
    with descriptors(256):
        limits = ("--server.max-connections", str(LIMIT), "--server.max-connections-per-address", str(LIMIT))
        serving = start(tmp_path_factory.mktemp("few"), "--models.objects", "none", "--metrics.port", "0", *limits)
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def impatient(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server whose connections may be idle for a second."""
    flags = ("--models.objects", "none", "--metrics.port", "0", "--server.idle-seconds", "1")
    serving = start(tmp_path_factory.mktemp("impatient"), *flags)
    yield serving
    serving.stop()


@pytest.mark.parametrize("first", [b"", PREFACE], ids=["silent", "preface"])
def test_a_flood_of_idle_connections_shuts_nobody_out(serving: Serving, first: bytes) -> None:
    opened = Path(f"/proc/{serving.process.pid}/fd")
    assert answers(serving)
    before_flood = ended(serving, "too_many_of_address")
    idle_bytes, idle_descriptors = serving.resident_bytes(), len(list(opened.iterdir()))
    with Client(serving.address) as before, ExitStack() as flood:
        assert before.server.GetServerInfo(GetServerInfoRequest()).embedding_dimension
        for number in range(FLOOD):
            flood.enter_context(connected(serving, first))
            if number % 100 == 0:
                assert answers(serving)
        assert before.server.GetServerInfo(GetServerInfoRequest()).embedding_dimension
        until(lambda: ended(serving, "too_many_of_address") - before_flood >= FLOOD - LIMIT)
        assert answers(serving)
        assert serving.resident_bytes() - idle_bytes < MAX_GROWTH
    until(lambda: len(list(opened.iterdir())) <= idle_descriptors + 5)
    assert answers(serving)


def test_connections_without_a_handshake_shut_nobody_out_of_tls(serve: Serve, tmp_path: Path) -> None:
    moment = datetime.now(UTC)
    certificate, key = make_certificate(tmp_path, "server", start=moment, end=moment + timedelta(days=100))
    serving = serve(
        *("--models.objects", "none", "--metrics.port", "0", "--server.max-connections", str(LIMIT)),
        *("--server.tls-certificate", str(certificate), "--server.tls-key", str(key)),
    )
    address, root = serving.address.replace("127.0.0.1", "localhost"), certificate.read_bytes()
    with ExitStack() as flood:
        for number in range(3 * LIMIT):
            flood.enter_context(connected(serving, b"" if number % 2 else b"\x16\x03\x01\x02\x00"))
            if number % LIMIT == 0:
                with Client(address, root_certificates=root) as client:
                    assert client.server.GetServerInfo(GetServerInfoRequest()).embedding_dimension
        until(lambda: ended(serving, "too_many") > LIMIT)
        with Client(address, root_certificates=root) as client:
            assert client.server.GetServerInfo(GetServerInfoRequest()).embedding_dimension


def test_descriptors_suffice_for_the_connections(serving: Serving) -> None:
    limits = Path(f"/proc/{serving.process.pid}/limits").read_text("ascii")
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    soft, hard = (int(each) for each in line.split()[3:5])
    assert soft == hard or soft > LIMIT + 1000


@pytest.mark.parametrize("flood", [frame(4, 0, 0), frame(2, 0, 1, bytes(5))], ids=["SETTINGS", "PRIORITY"])
def test_a_connection_that_sends_frames_and_makes_no_call_is_ended(serving: Serving, flood: bytes) -> None:
    before = ended(serving, "no_calls")
    with connected(serving, PREFACE) as connection:
        send_until_ended(connection, flood * 100)
    until(lambda: ended(serving, "no_calls") > before)
    assert answers(serving)


def test_an_open_call_does_not_excuse_a_flood(start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    flags = ("--models.objects", "none", "--metrics.port", "0", "--server.max-message-bytes", str(2**16))
    serving = start(tmp_path_factory.mktemp("small"), *flags)
    with connected(serving, PREFACE + frame(1, 4, 1, HEALTH_CHECK)) as connection:  # whose message never comes
        send_until_ended(connection, frame(4, 0, 0) * 100)
    until(lambda: ended(serving, "no_messages") == 1)
    assert answers(serving)
    serving.stop()


def test_half_messages_are_bounded_for_all_connections_together(serve: Serve) -> None:
    megabyte = str(2**20)
    serving = serve(
        *("--models.objects", "none", "--metrics.port", "0"),
        *("--server.max-message-bytes", megabyte, "--server.max-request-bytes", megabyte),
        *("--server.receive-seconds", "600"),
    )
    message = framed(bytes(1_000_000))
    with RawConnection(serving.address) as modest, RawConnection(serving.address) as greedy:
        single, several = modest.open(IDENTIFY), [greedy.open(IDENTIFY) for _ in range(40)]
        until(lambda: metric(serving, "facet_calls_without_request") == 41)
        modest.send(single, message[:900_000])
        with suppress(OSError, EOFError):
            for stream in several:
                greedy.send(stream, message[:900_000])
            while True:
                greedy.receive()
        until(lambda: ended(serving, "unfinished_messages") == 1)
        assert answers(serving)
        modest.send(single, message[900_000:], end=True)
        assert modest.ended(single).code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_flood_of_pings_is_ended(serving: Serving) -> None:
    with connected(serving, PREFACE) as connection:
        send_until_ended(connection, frame(6, 0, 0, bytes(8)) * 100)
    assert answers(serving)


def test_headers_without_an_end_are_no_call(impatient: Serving) -> None:
    unfinished = frame(1, 0, 1, b"\x83")  # HEADERS with ":method: POST", without END_HEADERS
    with connected(impatient, PREFACE + unfinished) as connection:
        send_until_ended(connection, b"")
    assert answers(impatient)


@pytest.mark.parametrize("entries", [100, 1000, 12_000])
def test_metadata_without_measure_ends_its_connection(serving: Serving, entries: int) -> None:
    # An entry goes into HPACK's table, and a byte refers to it. gRPC's limit does not hold here, because this client
    # never acknowledges the server's settings.
    before = ended(serving, "oversized_metadata")
    entry = b"\x40\x01x" + (b"\x7f\xbd\x1d" + b"v" * 3900 if entries < 12_000 else b"\x01v")
    with connected(serving, PREFACE + frame(1, 5, 1, HEALTH_CHECK + entry + b"\xbe" * entries)) as connection:
        send_until_ended(connection, b"")
    until(lambda: ended(serving, "oversized_metadata") == before + 1)
    assert answers(serving)


def test_an_idle_client_connects_again_and_an_open_stream_stays(impatient: Serving) -> None:
    with grpc.insecure_channel(impatient.address) as channel, Client(impatient.address) as client:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        for _ in range(2):
            assert client.server.GetServerInfo(GetServerInfoRequest()).embedding_dimension
            until(lambda: metric(impatient, "facet_connections") == 2)
            until(lambda: metric(impatient, "facet_connections") == 1)
        assert impatient.stop() == 0
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
