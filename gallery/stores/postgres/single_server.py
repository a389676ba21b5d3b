"""The lock that keeps a second server from a database."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import errors

from gallery.errors import StorageBusy, StorageUnavailable

_LOCK = 0x46414346
"""The advisory lock of the server that uses a schema."""
_SESSION = {
    # PostgreSQL may notice a little later that a server has ended.
    "lock_timeout": "5s",
    # If the machine of a server fails, its lock is free after half a minute, not after two hours.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class SingleServer:
    """Holds an advisory lock with a connection of its own.

    If the connection breaks, as at a failover, it is made again. If another server had the database in between, this
    one stores nothing more: its index lacks what the other one wrote.

    Args:
        info: how to connect.
        schema: the schema that is locked.
        name: what errors call the database.

    Raises:
        StorageBusy: another server has the lock.
        psycopg.Error: the database cannot be reached.
    """

    def __init__(self, info: str, schema: str, name: str) -> None:
        self._info = info
        self._schema = schema
        self._name = name
        self._lock = threading.Lock()
        self._is_closed = False
        self._connection = self._locked()
        self._opening = self._open()

    def check(self) -> None:
        """Check that the lock is still held, or get it again.

        Raises:
            StorageBusy: another server has, or had, the database.
            StorageUnavailable: it was closed.
            psycopg.Error: the database cannot be reached.
        """
        with self._lock:
            if self._is_closed:
                raise StorageUnavailable(f"{self._name} was closed")
            try:
                self._connection.execute("SELECT 1")
            except psycopg.Error:
                self._connection.close()
                self._connection = self._locked()
                if self._current() != self._opening:
                    raise StorageBusy(f"another server has used {self._name}: restart this one") from None

    def close(self) -> None:
        """Let another server use the database."""
        with self._lock, suppress(psycopg.Error), self._connection:
            self._is_closed = True
            self._connection.execute("SELECT pg_advisory_unlock_all()")

    def _locked(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = psycopg.connect(self._info, autocommit=True)
        try:
            for name, value in (*_SESSION.items(), ("search_path", self._schema)):
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
            connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (_LOCK, self._schema))
        except errors.LockNotAvailable as error:
            connection.close()
            raise StorageBusy(f"another server uses the schema {self._schema!r} of {self._name}") from error
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def _open(self) -> int:
        self._connection.execute("UPDATE facet SET openings = openings + 1")
        return self._current()

    def _current(self) -> int:
        row = self._connection.execute("SELECT openings FROM facet").fetchone()
        return 0 if row is None else int(row[0])
