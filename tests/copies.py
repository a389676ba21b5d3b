"""Run ``facet gallery copy``, and stand between it and a server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOME_BYTES = 1 << 16
_MIDDLE = 4 * SOME_BYTES
MANY = 3000
"""Templates that take more than one message: the file of so many has six row groups."""


def start_copy(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command in a folder, with these variables and no other settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    return subprocess.Popen(
        [sys.executable, "-m", "facet.cli", "gallery", "copy", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment | variables,
    )


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait until a command has ended."""
    out, error = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


@contextmanager
def relay(address: str, in_the_middle: Callable[[], bool]) -> Iterator[str]:
    """An address in front of a server.

    Args:
        address: of the server.
        in_the_middle: called once a connection has passed many bytes in one direction; if it returns False all
            connections are cut.
    """
    host, port = address.rsplit(":", 1)
    listener = socket.create_server(("127.0.0.1", 0))
    sockets: list[socket.socket] = []

    def close() -> None:
        for each in (listener, *sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(SOME_BYTES):
                before, passed = passed, passed + len(data)
                if before < _MIDDLE <= passed and not in_the_middle():
                    close()
                sink.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near = listener.accept()[0]
                far = socket.create_connection((host, int(port)))
                sockets.extend((near, far))
                threading.Thread(target=pass_on, args=(near, far), daemon=True).start()
                threading.Thread(target=pass_on, args=(far, near), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        close()
