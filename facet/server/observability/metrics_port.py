"""Serves the metrics to Prometheus over HTTP."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

_STALL_SECONDS = 10


class MetricsPort:
    """Serves the metrics until it is closed, one thread for each request.

    Args:
        registry: the metrics.
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.

    Attributes:
        address: ``host:port``.

    Raises:
        OSError: the address is in use, or does not belong to this machine.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        plain = host.strip("[]")
        kind = _Server6 if ":" in plain else _Server
        self._server = make_server(plain, port, make_wsgi_app(registry), kind, _Handler)
        self.address = f"{f'[{plain}]' if ':' in plain else plain}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingWSGIServer):
    def server_bind(self) -> None:
        """Bind without a reverse DNS lookup, which may be slow."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _STALL_SECONDS

    def handle(self) -> None:
        """Drop a client that stalls or disconnects."""
        with suppress(TimeoutError, ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Do not log scrapes."""
