"""A server for the time of a command: on a free port, with a temporary database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from facet.client.tls import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE
from facet.terminal import console
from facet.terminal.interruption import interrupted_by_sigterm

STOP_SECONDS = 30

_NEVER_SLOW_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server that is ready.

    Attributes:
        address: host and port.
        pid: of its process.
        metrics_address: host and port of its metrics; empty if it serves none.
    """

    address: str
    pid: int
    metrics_address: str


@contextmanager
def local_server(*flags: str) -> Iterator[str]:
    """Run a server with these flags; gives its address. See :func:`local_process`."""
    with local_process(*flags) as server:
        yield server.address


@contextmanager
def local_process(
    *flags: str, settings: Mapping[str, str] | None = None, log: IO[str] | None = None
) -> Iterator[LocalServer]:
    """Run a server with these flags; stop it and delete its database at the end.

    It is also stopped if the command fails, or is ended by Ctrl-C or SIGTERM. If the command is killed, the server
    stops and the database stays. Its settings are the flags and the defaults alone: the environment's FACET_
    variables are not passed on. In the block, clients of this process do not use the certificates that the environment
    names, which are for other servers.

    Args:
        flags: of ``facet serve``.
        settings: FACET_ variables for the server, for what should not be read in the list of processes.
        log: where its standard error goes; ``None`` for that of the command.
    """
    with (
        interrupted_by_sigterm(),
        _without_certificates(),
        tempfile.TemporaryDirectory(prefix="facet-") as folder,
    ):
        place = ["--server.port", "0", "--gallery.database", str(Path(folder) / "gallery.sqlite3")]
        # Its log is on the command's standard error: no line about every call that a busy machine makes slow.
        quiet = ["--log.level", "warning", "--metrics.slow-ms", str(_NEVER_SLOW_MS)]
        # -P: no module of the current folder takes the place of one of ours.
        # In a session of its own: Ctrl-C is for the command, which still needs the server to clean up.
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "facet.cli", "serve", "--json", "--until-eof", *quiet, *place, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment() | dict(settings or {}),
            start_new_session=True,
        ) as server:
            try:
                said = _said(server)
                yield LocalServer(said["address"], server.pid, said["metrics_address"])
            finally:
                _stop(server)


@contextmanager
def _without_certificates() -> Iterator[None]:
    names = (CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE)
    taken = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)


def _environment() -> dict[str, str]:
    """The environment without settings. It makes the server find modules where this process finds them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _said(server: subprocess.Popen[str]) -> dict[str, str]:
    line = server.stdout.readline() if server.stdout else ""
    if not line:
        console.fail(f"the server did not start (exit code {server.wait()}); it said why above")
    said: dict[str, str] = json.loads(line)
    return said


def _stop(server: subprocess.Popen[str]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
