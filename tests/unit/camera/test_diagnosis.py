"""Why a source cannot be opened, asked of small servers on this machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facet.camera.diagnosis import why_address_fails, why_device_fails, why_file_fails
from facet.camera.errors import SourceError
from facet.camera.source import open_capture, parse_source

Answer = Callable[[bytes], bytes]


class Listener:
    """A server that gives one answer to every request, and ends the connection when the answer is empty."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        try:
            while True:
                threading.Thread(target=self._serve, args=(self._socket.accept()[0],), daemon=True).start()
        except OSError:
            pass  # closed

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                while (request := connection.recv(65536)) and (answer := self._answer(request)):
                    connection.sendall(answer)
                    if answer.startswith(b"HTTP"):
                        return
        except OSError:
            pass  # the client is gone


def http(status: str, body: str = "") -> Answer:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda request: (head + body).encode()


def rtsp(status: str) -> Answer:
    def answer(request: bytes) -> bytes:
        number = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"cseq"))
        first = "200 OK" if request.startswith(b"OPTIONS") else status
        return b"RTSP/1.0 %s\r\n%s\r\nPublic: DESCRIBE\r\n\r\n" % (first.encode(), number)

    return answer


def silent(_: bytes) -> bytes:
    threading.Event().wait(60)
    return b""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, and on which nothing listens."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("http", http("401 Unauthorized"), "the name or the password is wrong (401 Unauthorized)"),
        ("rtsp", rtsp("401 Unauthorized"), "the name or the password is wrong (401 Unauthorized)"),
        ("http", http("403 Forbidden"), "it does not allow this (403 Forbidden)"),
        ("http", http("404 Not Found"), "it has no such path (404 Not Found)"),
        ("rtsp", rtsp("404 Not Found"), "it has no such path (404 Not Found)"),
        ("http", http("503 Service Unavailable"), "it has an error of its own (5xx)"),
        ("rtsp", rtsp("454 Session Not Found"), "it refuses the request (4xx)"),
        ("http", http("200 OK", "a page, not a film"), "it sends nothing that is video"),
        ("http", lambda _: b"", "it ends the connection without a picture; does it want https://?"),
        ("https", lambda _: b"no TLS", "no encrypted connection: it speaks no TLS, or its certificate is refused"),
    ],
)
def test_the_reason_of_an_address_is_said_with_its_port_and_without_the_password(
    scheme: str, answer: Answer, said: str
) -> None:
    with closing(Listener(answer)) as server, pytest.raises(SourceError) as caught:
        open_capture(parse_source(f"{scheme}://user:secret@127.0.0.1:{server.port}/door"))
    assert str(caught.value) == f"cannot open 127.0.0.1:{server.port}/door: {said}"


def test_an_address_without_a_password_is_told_that_it_needs_one() -> None:
    with closing(Listener(rtsp("401 Unauthorized"))) as server:
        said = why_address_fails(f"rtsp://127.0.0.1:{server.port}/door")
    wanted = f"rtsp://NAME:PASSWORD@127.0.0.1:{server.port}/..."
    assert said == f"it asks for a name and a password: {wanted} (401 Unauthorized)"


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_says_nothing_is_told_from_one_that_is_not_there(scheme: str, closed_port: int) -> None:
    with closing(Listener(silent)) as server:
        said = why_address_fails(f"{scheme}://127.0.0.1:{server.port}/door", timeout=0.5)
    assert said == "it takes the connection and sends no video for 0.5 seconds"
    said = why_address_fails(f"{scheme}://127.0.0.1:{closed_port}/door")
    assert said == "the connection is refused: nothing listens on this port"


def test_a_host_that_does_not_exist_is_named_with_the_port_of_the_protocol() -> None:
    with pytest.raises(SourceError) as caught:
        open_capture(parse_source("rtsp://user:secret@no-such-host.invalid/door"))
    assert str(caught.value) == "cannot open no-such-host.invalid:554/door: there is no host no-such-host.invalid"


@pytest.mark.parametrize("text", ["rtsp://user:sec/ret@camera.example/1", "http://camera.example:99999/1"])
def test_an_address_without_a_valid_port_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(SourceError, match="write %2F for /") as caught:
        parse_source(text)
    assert "sec" not in str(caught.value)


def test_files_and_devices_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.mp4").write_text("no film")
    assert why_file_fails(tmp_path / "empty.mp4") == "it is empty"
    assert why_file_fails(tmp_path / "notes.mp4") == "it is no video"
    assert why_file_fails(tmp_path / "gone.mp4") == os.strerror(2).lower()
    assert why_device_fails(987) == "there is no /dev/video987"
