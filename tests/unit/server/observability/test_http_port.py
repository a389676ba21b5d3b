"""The HTTP port of probes and metrics: what it answers, and that nobody can occupy it."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from facet.server.observability.http_port import HttpPort

SECONDS = 30.0
FLOOD = 400


class Pages:
    """A probe, a page, and a page that is made when the test says so."""

    def __init__(self) -> None:
        self.continued = threading.Event()
        self.failing = False

    def probe(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok\n"]

    def page(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['QUERY_STRING']} {environ.get('HTTP_ACCEPT', '')}".encode(), bytes(1_000_000)]

    def slow(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        assert self.continued.wait(SECONDS)
        if self.failing:
            raise ValueError("a secret")
        return self.probe(environ, start_response)


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def port(pages: Pages) -> Iterator[HttpPort]:
    port = HttpPort("127.0.0.1", 0, probes={"/livez": pages.probe}, pages={"/page": pages.page, "/slow": pages.slow})
    yield port
    pages.continued.set()
    with suppress(RuntimeError):  # the test has closed it
        port.close()


def ask(port: HttpPort, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(port.address, timeout=SECONDS)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def sent(port: HttpPort, data: bytes) -> socket.socket:
    host, _, number = port.address.rpartition(":")
    connection = socket.create_connection((host, int(number)), timeout=SECONDS)
    connection.sendall(data)
    return connection


def received(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(2**16):
        parts.append(part)
    return b"".join(parts)


def test_known_paths_are_answered(port: HttpPort) -> None:
    assert ask(port, "/livez") == (200, b"ok\n")
    assert ask(port, "/livez?verbose=1") == (200, b"ok\n")
    status, body = ask(port, "/page?a=b", headers={"Accept": "text/html"})
    assert (status, body[:15], len(body)) == (200, b"a=b text/html\0\0", 1_000_013)


def test_a_long_answer_that_is_read_ends_without_an_error(port: HttpPort, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        assert ask(port, "/page")[0] == 200
    port.close()
    assert not caplog.records


def test_head_has_no_body(port: HttpPort) -> None:
    with sent(port, b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        head, end, body = received(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert (end, body) == (b"\r\n\r\n", b"")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /other HTTP/1.1", 404),
        (b"GET /livez/../page HTTP/1.1", 404),
        (b"POST /livez HTTP/1.1", 405),
        (b"DELETE /page HTTP/1.1", 405),
        (b"GET /livez HTTP/9.9", 505),
        (b"GET /livez HTTP/x", 400),
        (b"nothing", 400),
        (b"PRI * HTTP/2.0", 505),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1", 431),
        (b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 500, 431),
    ],
)
def test_anything_else_is_refused_without_telling_what_answers(
    port: HttpPort, request_line: bytes, status: int
) -> None:
    with sent(port, request_line + b"\r\nHost: x\r\n\r\n") as connection:
        answer = received(connection)
    assert answer.startswith(f"HTTP/1.0 {status} ".encode())
    assert b"Python" not in answer


def test_a_page_that_takes_time_delays_no_probe(port: HttpPort, pages: Pages) -> None:
    with sent(port, b"GET /slow HTTP/1.1\r\n\r\n") as waiting:
        assert ask(port, "/livez") == (200, b"ok\n")
        pages.continued.set()
        assert b"200 OK" in received(waiting)


def test_an_error_of_a_page_is_answered_and_says_nothing(port: HttpPort, pages: Pages) -> None:
    pages.failing = True
    pages.continued.set()
    status, body = ask(port, "/slow")
    assert status == 500
    assert b"secret" not in body
    assert ask(port, "/livez")[0] == 200


@pytest.mark.parametrize("data", [b"", b"GET /livez HTT"], ids=["silent", "unfinished"])
def test_connections_that_send_no_request_shut_nobody_out(port: HttpPort, data: bytes) -> None:
    threads = threading.active_count()
    with ExitStack() as stack:
        flood = [stack.enter_context(sent(port, data)) for _ in range(FLOOD)]
        assert ask(port, "/livez") == (200, b"ok\n")
        assert threading.active_count() <= threads  # one of an earlier test may have ended
        for each in flood[: FLOOD - 100]:  # those before the newest are closed
            with pytest.raises(ConnectionResetError):
                raise_if_closed(each)


def raise_if_closed(connection: socket.socket) -> None:
    if not connection.recv(1):
        raise ConnectionResetError


def test_those_that_do_not_read_their_answer_shut_nobody_out(port: HttpPort) -> None:
    with ExitStack() as stack:
        for _ in range(FLOOD):
            stack.enter_context(sent(port, b"GET /page HTTP/1.1\r\n\r\n"))
        assert ask(port, "/livez") == (200, b"ok\n")
        assert ask(port, "/page")[0] == 200
