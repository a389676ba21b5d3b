"""An HTTP port for probes and scrapes that nobody can occupy: few connections, and each has little time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, StringIO
from typing import Any, TypeAlias
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import WSGIApplication

import structlog

_MAX_CONNECTIONS = 64
_BACKLOG = 1024
_MAX_REQUEST_BYTES = 8 * 1024
_SEND_BUFFER = 64 * 1024
_REQUEST_SECONDS = 5.0
"""Time for a client to send its whole request."""
_ANSWER_SECONDS = 10.0
"""Time for a client to read its whole answer."""
_METHODS = ("GET", "HEAD")
_END_OF_HEADERS = b"\r\n\r\n"
_TOO_LARGE = b"HTTP/1.0 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"

_Ordered: TypeAlias = dict[asyncio.StreamWriter, None]

_log = structlog.get_logger("facet.http")


class HttpPort:
    """Answers GET and HEAD of a few paths until it is closed, on an event loop and a thread of its own.

    Of more than 64 connections that send their request, or read their answer, the one is closed that began first.

    Args:
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.
        probes: by path, pages that take no time. They are answered also while a page is being made.
        pages: by path, pages that may take time. They are made one at a time.

    Attributes:
        address: ``host:port``.

    Raises:
        OSError: the address is in use, or does not belong to this machine.
    """

    def __init__(
        self, host: str, port: int, *, probes: Mapping[str, WSGIApplication], pages: Mapping[str, WSGIApplication]
    ) -> None:
        plain = host.strip("[]")
        family = socket.AF_INET6 if ":" in plain else socket.AF_INET
        self._socket = socket.create_server((plain, port), family=family, backlog=_BACKLOG)
        # Connections inherit it: an answer that is not read takes no more of the system's memory.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.address = f"{f'[{plain}]' if ':' in plain else plain}:{self._socket.getsockname()[1]}"
        self._probes = probes
        self._pages = pages
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="http-pages")
        self._receiving: _Ordered = {}
        self._answering: _Ordered = {}
        self._loop = asyncio.new_event_loop()
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and drop the connections."""
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()
        self._maker.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._connected, sock=self._socket, backlog=_BACKLOG, limit=_MAX_REQUEST_BYTES
        )
        await self._closed.wait()
        server.close()  # the runner cancels the connections

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            _admit(writer, self._receiving)
            async with asyncio.timeout(_REQUEST_SECONDS):
                received = await _receive(reader)
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._receiving.pop(writer, None)
                _admit(writer, self._answering)
                writer.write(await self._answer(received) if received else _TOO_LARGE)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            self._receiving.pop(writer, None)
            self._answering.pop(writer, None)

    async def _answer(self, received: bytes) -> bytes:
        request = _Request(received)
        if request.answered:
            return request.response
        if (probe := self._probes.get(request.page)) is not None:
            return request.answer(probe)
        if (page := self._pages.get(request.page)) is not None:
            return await asyncio.get_running_loop().run_in_executor(self._maker, request.answer, page)
        return request.refuse(404)


def _admit(writer: asyncio.StreamWriter, others: _Ordered) -> None:
    """Add a connection to others; if they are too many, the first is closed."""
    others[writer] = None
    if len(others) > _MAX_CONNECTIONS:
        first = next(iter(others))
        del others[first]
        first.transport.abort()


async def _receive(reader: asyncio.StreamReader) -> bytes:
    """The request up to the end of its headers; empty if it is too large."""
    try:
        return await reader.readuntil(_END_OF_HEADERS)
    except asyncio.LimitOverrunError:
        return b""


class _Request(WSGIRequestHandler):
    """A request that has been received, read by the standard library; its answer is collected in memory."""

    server_version = "facet"
    sys_version = ""
    default_request_version = "HTTP/1.0"
    error_message_format = "%(code)d %(explain)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def __init__(self, received: bytes) -> None:
        self._received = received
        self._written = BytesIO()
        self.answered = False
        super().__init__(received, ("", 0), _Server())  # type: ignore[arg-type]  # it has no socket

    @property
    def page(self) -> str:
        """The path, without its query."""
        return self.path.partition("?")[0]

    @property
    def response(self) -> bytes:
        """What has been answered."""
        return self._written.getvalue()

    def setup(self) -> None:
        """Read from memory, and write to it."""
        self.rfile = BytesIO(self._received)
        self.wfile = self._written

    def handle(self) -> None:
        """Read the request, and refuse what is none."""
        self.raw_requestline = self.rfile.readline()
        if not self.parse_request():
            self.answered = True
        elif self.command not in _METHODS:
            self.refuse(405)

    def finish(self) -> None:
        """Keep what was written."""

    def answer(self, page: WSGIApplication) -> bytes:
        """The answer of a page. It is made as for GET; HEAD leaves out the body."""
        environ = self.get_environ() | {"REQUEST_METHOD": "GET"}
        _Handler(BytesIO(), self._written, StringIO(), environ, multithread=False).run(page)
        headers, end, body = self.response.partition(_END_OF_HEADERS)
        return headers + end + (b"" if self.command == "HEAD" else body)

    def refuse(self, status: int) -> bytes:
        """Answer an error."""
        self.send_error(status)
        self.answered = True
        return self.response

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Do not log requests."""


class _Handler(SimpleHandler):
    server_software = "facet"
    os_environ: dict[str, str] = {}  # noqa: RUF012 - the library's; a page needs none of the process's environment

    def log_exception(self, exc_info: Any) -> None:
        """Log an error of a page as the server logs its own."""
        _log.error("page failed", exc_info=exc_info)


class _Server:
    """What the library asks of a server."""

    base_environ: Mapping[str, str] = {}
