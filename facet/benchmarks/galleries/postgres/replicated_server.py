"""A temporary PostgreSQL with a synchronous standby, which takes over when the primary dies."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from facet.benchmarks.galleries.postgres.postgres_server import STARTS_WITHIN_SECONDS, PostgresServer

_SETTINGS: Mapping[str, Any] = {
    # In files of its own folder, because what is in /dev/shm stays there if it is killed.
    "dynamic_shared_memory_type": "mmap",
}
_POLL_SECONDS = 0.02


class ReplicatedServer:
    """A primary and a standby on the loopback interface.

    The primary acknowledges a commit when both have it on disk, and without a standby when it has it itself.

    Args:
        folder: for the files of both.

    Attributes:
        primary: takes changes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 1
        self.primary = PostgresServer(folder / "server-1", _SETTINGS)
        try:
            self._standby = self._new_standby()
        except BaseException:
            self.primary.kill()
            raise
        self._ports = self.primary.port, self._standby.port

    @property
    def url(self) -> str:
        """Address for clients, which find the primary by themselves."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        one = f"127.0.0.1:{self.primary.port}"
        return f"{self.primary.url.replace(one, hosts)}?target_session_attrs=read-write"

    def promote(self) -> None:
        """Make the standby the primary, which then has none itself; the caller has killed the one before."""
        self.primary = self._standby
        self.primary.promote()

    def add_standby(self) -> None:
        """Give the primary a new standby, where the lost primary was."""
        (port,) = set(self._ports) - {self.primary.port}
        self._standby = self._new_standby(port)

    def stop(self) -> None:
        """Stop the primary and, if there is one, the standby."""
        self.primary.stop()
        if self._standby is not self.primary:
            self._standby.stop()

    def _new_standby(self, port: int | None = None) -> PostgresServer:
        self._made += 1
        standby = PostgresServer(self._folder / f"server-{self._made}", _SETTINGS, primary=self.primary, port=port)
        self.primary.require_standby()
        give_up = time.monotonic() + STARTS_WITHIN_SECONDS
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            while not connection.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone():
                if time.monotonic() > give_up:
                    raise TimeoutError(f"the standby does not replicate after {STARTS_WITHIN_SECONDS} s")
                time.sleep(_POLL_SECONDS)
        return standby


@contextmanager
def temporary_replicated_server() -> Iterator[ReplicatedServer]:
    """Run both in a temporary folder, which is deleted in the end."""
    with tempfile.TemporaryDirectory(prefix="facet-postgres-", ignore_cleanup_errors=True) as folder:
        server = ReplicatedServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()
