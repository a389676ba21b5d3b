"""An SQLite database that one process has open: one transaction at a time, and a short write-ahead log."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gallery.errors import StorageBusy, StorageError, StorageUnavailable
from gallery.stores.sqlite.files import connect, connect_checkpointer, lock, resolved, storage_errors

_MAINTENANCE_SECONDS = 0.3
_RETRY_SECONDS = 0.02


class SqliteDatabase:
    """A database file that this process owns.

    Threads take turns on one connection, in the order in which they asked: SQLite has only one writer anyway. A commit
    writes to the log. A background thread moves the log into the database on a second connection, so that no commit
    waits for it, and runs other work that can wait.

    Args:
        path: the file. It is created if it does not exist; its folder is not.
        check: read all of it first, and refuse it if it is damaged.

    Raises:
        StorageError: see :class:`gallery.stores.sqlite.sqlite_store.SqliteStore`.
    """

    def __init__(self, path: Path, *, check: bool = False) -> None:
        self.path = path = resolved(path)
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._checkpointing = threading.Lock()
        self._has_traces = True
        self._background_work: list[Callable[[], None]] = []
        self._written = threading.Event()
        self._closing = threading.Event()
        self._lock_file: int | None = lock(path)
        try:
            self.connection = connect(path, check=check)
            self._checkpointer = connect_checkpointer(path)
        except StorageError:
            self._release_lock_file()
            raise
        self._thread = threading.Thread(target=self._maintain, name="sqlite-maintenance", daemon=True)
        self._thread.start()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Use the connection alone.

        Raises:
            StorageUnavailable: it is closed.
        """
        # The waiting thread already has the turn, so a thread that writes repeatedly cannot overtake it.
        with self._turn:
            self._lock.acquire()
        try:
            if self._closing.is_set():
                raise StorageUnavailable(f"{self.path} is closed")
            with storage_errors(self.path):
                yield self.connection
        finally:
            self._lock.release()

    @contextmanager
    def writing(self, *, erases: bool = False) -> Iterator[sqlite3.Connection]:
        """Run a transaction: its changes are on disk at the end, or dropped if the block raises.

        With ``erases``, the log may hold data that the database no longer has, until :meth:`empty_log`.
        """
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                self._has_traces |= erases
                connection.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has already rolled back.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        self._written.set()

    def empty_log(self, *, patience: float) -> None:
        """Move the log into the database and empty it, so that it holds no deleted data.

        Args:
            patience: how long to wait for other processes that read the log, seconds. Other threads can read and write
                in the meantime.

        Raises:
            StorageBusy: they are still reading. The background thread empties the log once they have finished.
        """
        deadline = time.monotonic() + patience
        while not self._emptied():
            if time.monotonic() >= deadline:
                raise StorageBusy(f"another process reads {self.path}; its log can only be emptied afterwards")
            self._closing.wait(_RETRY_SECONDS)

    def run_in_background(self, work: Callable[[], None]) -> None:
        """Have the background thread run something, again and again until it succeeds."""
        self._background_work.append(work)
        self._written.set()

    def close(self) -> None:
        """Close the database; does nothing the second time."""
        self._closing.set()
        self._written.set()
        self._thread.join()
        with self._turn, self._lock, storage_errors(self.path):
            self._checkpointer.close()
            self.connection.close()
            self._release_lock_file()

    def _emptied(self) -> bool:
        with self._checkpointing, self.reading():
            if self._has_traces:
                busy, _, _ = self._checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._has_traces = bool(busy)
            return not self._has_traces

    def _maintain(self) -> None:
        while self._written.wait() and not self._closing.wait(_MAINTENANCE_SECONDS):
            self._written.clear()
            # If this fails, the data is still safe in the log, and the next round tries again.
            with suppress(sqlite3.Error), self._checkpointing:
                self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            try:
                while self._background_work:
                    self._background_work[0]()
                    del self._background_work[0]
                is_done = self._emptied()
            except StorageError:
                is_done = False
            if not is_done:
                self._written.set()

    def _release_lock_file(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
