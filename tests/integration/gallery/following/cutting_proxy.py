"""A TCP proxy on the loopback interface whose connections can be cut or held at any message."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

_CHUNK = 65_536


class CuttingProxy:
    """Passes bytes on between clients and a server.

    Args:
        port: of the server.

    Attributes:
        port: where clients connect.
        flows: cleared to keep everything back, set again to pass it on.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.flows = threading.Event()
        self.flows.set()
        self._lock = threading.Lock()
        self._left: int | None = None
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, messages: int) -> None:
        """Cut all connections, once so many more messages have passed in either direction."""
        with self._lock:
            self._left = messages

    def close(self) -> None:
        """Cut all connections, and accept no more."""
        self._listener.close()
        self.flows.set()
        with self._lock:
            self._cut()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                with self._lock:
                    self._open += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # it was cut
            while data := source.recv(_CHUNK):
                self.flows.wait()
                with self._lock:
                    if self._left == 0:
                        self._cut()
                        self._left = None
                        break
                    if self._left is not None:
                        self._left -= 1
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()

    def _cut(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()
