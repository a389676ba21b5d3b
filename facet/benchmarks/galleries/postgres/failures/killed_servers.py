"""Server processes on one database, which are killed and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from facet.terminal.local_server import LocalServer, local_process

_FLAGS = ("--models.objects", "none", "--gallery.postgres-timeout-seconds", "4")


class KilledServers:
    """Processes of ``facet serve``.

    Args:
        url: of the database.
        folder: for their logs.

    Attributes:
        addresses: of those that run, or ran last.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._settings = {"FACET_GALLERY__POSTGRES_URL": url}
        self._log = folder / "servers.log"
        self._running: list[tuple[LocalServer, ExitStack]] = []
        self.addresses: list[str] = []

    def add(self) -> str:
        """Start one more; returns its address when it is ready."""
        self._running.append(self._started())
        self.addresses.append(self._running[-1][0].address)
        return self.addresses[-1]

    def kill(self, which: int) -> None:
        """Kill one with SIGKILL, and start another one in its place."""
        server, stack = self._running[which]
        os.kill(server.pid, signal.SIGKILL)
        stack.close()
        self._running[which] = self._started()
        self.addresses[which] = self._running[which][0].address

    def stop(self) -> None:
        """Stop all of them."""
        for _, stack in self._running:
            stack.close()

    def _started(self) -> tuple[LocalServer, ExitStack]:
        with ExitStack() as stack:
            log = stack.enter_context(self._log.open("a"))
            server = stack.enter_context(local_process(*_FLAGS, settings=self._settings, log=log))
            return server, stack.pop_all()


@contextmanager
def killed_servers(url: str, folder: Path, count: int) -> Iterator[KilledServers]:
    """Start servers; stop those that run in the end."""
    servers = KilledServers(url, folder)
    try:
        for _ in range(count):
            servers.add()
        yield servers
    finally:
        servers.stop()
