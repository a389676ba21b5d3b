"""A server of one's own for as long as a script runs: on a free port, with a temporary database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facet.terminal import console

STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server that answers.

    Attributes:
        address: host and port.
        pid: of its process.
    """

    address: str
    pid: int


@contextmanager
def local_server(*flags: str) -> Iterator[str]:
    """As :func:`local_process`, where nothing but its address matters."""
    with local_process(*flags) as server:
        yield server.address


@contextmanager
def local_process(*flags: str) -> Iterator[LocalServer]:
    """Start ``serve.py`` with these flags; it is stopped, and its database gone, in the end.

    It is stopped also where the script fails, or is told to end by Ctrl-C or SIGTERM. The settings are the flags and
    the defaults alone: neither the environment's FACET_ settings nor its token.
    """
    with interrupted_by_sigterm(), tempfile.TemporaryDirectory(prefix="facet-") as folder:
        settings = ["--server.port", "0", "--gallery.database", str(Path(folder) / "gallery.sqlite3")]
        command = [sys.executable, "-m", "facet.cli", "serve", "--json", "--log.level", "warning", *settings, *flags]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
        # Of a session of its own: Ctrl-C is for the script, which still needs the server to clear up.
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        ) as server:
            try:
                yield LocalServer(_address(server), server.pid)
            finally:
                _stop(server)


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the script as Ctrl-C does, so that it clears up behind itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _address(server: subprocess.Popen[str]) -> str:
    line = server.stdout.readline() if server.stdout else ""
    if not line:
        console.fail(f"the server did not start (exit code {server.wait()}); it said why above")
    address: str = json.loads(line)["address"]
    return address


def _stop(server: subprocess.Popen[str]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
