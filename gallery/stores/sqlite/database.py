"""An open SQLite database of one process: transactions, one at a time, and a log that is kept short."""

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

_HOUSEKEEPING_SECONDS = 0.3
_RETRY_SECONDS = 0.02


class SqliteDatabase:
    """A database file that this process owns.

    All goes through one connection, one thread at a time, in the order in which they came: SQLite has one writer
    anyway. What a commit wrote is in the log. A thread of its own moves it from there into the database, on a second
    connection, so that no commit takes the time for it, and does what else can wait.

    Args:
        path: the file; made where it is missing, its folder is not.
        check: read all of it first, and refuse one that is damaged.

    Raises:
        StorageError: see :class:`gallery.stores.sqlite.store.SqliteStore`.
    """

    def __init__(self, path: Path, *, check: bool = False) -> None:
        self.path = path = resolved(path)
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._checkpointing = threading.Lock()
        self._has_traces = True
        self._chores: list[Callable[[], None]] = []
        self._written = threading.Event()
        self._closing = threading.Event()
        self._owned: int | None = lock(path)
        try:
            self.connection = connect(path, check=check)
            self._checkpointer = connect_checkpointer(path)
        except StorageError:
            self._disown()
            raise
        self._thread = threading.Thread(target=self._keep_house, name="facet-housekeeper", daemon=True)
        self._thread.start()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone; :class:`StorageUnavailable` where it is closed."""
        # Who waits has the turn already: a thread that writes again and again does not come before it.
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
        """A transaction, whose changes are on disk after it; none of them where it raises.

        ``erases`` says that the log will hold what the database no longer does, until :meth:`empty_log`.
        """
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                self._has_traces |= erases
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        self._written.set()

    def empty_log(self, *, patience: float) -> None:
        """Move the log into the database and empty it, so that it holds no former contents.

        Args:
            patience: how long to wait for other processes that read the log, seconds. Other threads read and write
                meanwhile.

        Raises:
            StorageBusy: they go on reading. The log is emptied when they have finished, without being asked again.
        """
        deadline = time.monotonic() + patience
        while not self._emptied():
            if time.monotonic() >= deadline:
                raise StorageBusy(f"another process reads {self.path}, whose log can be emptied only after it")
            self._closing.wait(_RETRY_SECONDS)

    def later(self, chore: Callable[[], None]) -> None:
        """Have something done in time by the thread that keeps the log short, again and again until it is."""
        self._chores.append(chore)
        self._written.set()

    def close(self) -> None:
        """Let go of the database; nothing happens the second time."""
        self._closing.set()
        self._written.set()
        self._thread.join()
        with self._turn, self._lock, storage_errors(self.path):
            self._checkpointer.close()
            self.connection.close()
            self._disown()

    def _emptied(self) -> bool:
        with self._checkpointing, self.reading():
            if self._has_traces:
                busy, _, _ = self._checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._has_traces = bool(busy)
            return not self._has_traces

    def _keep_house(self) -> None:
        while self._written.wait() and not self._closing.wait(_HOUSEKEEPING_SECONDS):
            self._written.clear()
            # What fails here is safe where it is, and comes again in a while.
            with suppress(sqlite3.Error), self._checkpointing:
                self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            try:
                while self._chores:
                    self._chores[0]()
                    del self._chores[0]
                is_done = self._emptied()
            except StorageError:
                is_done = False
            if not is_done:
                self._written.set()

    def _disown(self) -> None:
        if self._owned is not None:
            os.close(self._owned)
            self._owned = None
