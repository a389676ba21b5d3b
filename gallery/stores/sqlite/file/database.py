"""An SQLite database that one process has open: one transaction at a time, and a short write-ahead log."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gallery.errors import StorageBusy, StorageError, StorageFull, StorageUnavailable
from gallery.stores.sqlite.erasure.sweeper import Sweeper, forget_pages
from gallery.stores.sqlite.erasure.swept_mark import read_mark, write_mark
from gallery.stores.sqlite.file.file_guard import FileGuard, open_database_file
from gallery.stores.sqlite.file.files import connect, connect_checkpointer, lock, lock_path, resolved, storage_errors
from gallery.stores.sqlite.file.opening_token import write_token
from gallery.stores.sqlite.file.replacing import remove_left_scratch

_MAINTENANCE_SECONDS = 0.3
_RETRY_SECONDS = 0.02
_PAGES_AT_ONCE = 256
"""Pages swept while other threads wait: some milliseconds."""


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
        self._rounds: list[Callable[[], None]] = []
        self._log_index: int | None = None
        self._written = threading.Event()
        self._closing = threading.Event()
        self._is_closed = False
        with ExitStack() as opened:
            self._lock_file = lock(path)
            opened.callback(os.close, self._lock_file)
            remove_left_scratch(path)
            # Closed last: closing it releases the locks that SQLite has on the file.
            self._file = open_database_file(path)
            opened.callback(os.close, self._file)
            opened.callback(self._close_log_index)
            is_swept = read_mark(self._lock_file, self._file)
            self.connection = connect(path, check=check)
            opened.callback(self.connection.close)
            self._checkpointer = connect_checkpointer(path)
            opened.callback(self._checkpointer.close)
            with storage_errors(path):
                (page_size,) = self.connection.execute("PRAGMA page_size").fetchone()
                self._log, log_index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
                self._log_index = os.open(log_index, os.O_RDONLY | os.O_CLOEXEC)
                self._sweeper = Sweeper(self._file, self._log, page_size=page_size, is_swept=is_swept)
                opened.callback(self._sweeper.close)
                self._sweeper.note_commit()
                token = write_token(self.connection, self._file)
                if token is None:
                    self._sweeper.note_failed_commit()
                self._sweeper.note_commit()
                self._guard = FileGuard(path, self._file, (self._log, log_index, lock_path(path)), token)
            self._opened = opened.pop_all()
        self._thread = threading.Thread(target=self._maintain, name="sqlite-maintenance", daemon=True)
        self._thread.start()
        # Sweep what an earlier version or a dead process left.
        self._written.set()

    @property
    def has_traces(self) -> bool:
        """Whether the files may hold deleted data."""
        return self._has_traces

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open files on which SQLite has locks, for reading at an offset; never close them.

        These are the database and the index of its log. Opening them again would be harmful: the locks of the whole
        process go when it closes any descriptor of them.
        """
        return (self._file,) if self._log_index is None else (self._file, self._log_index)

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

        With ``erases``, the log may hold data that the database no longer has, until :meth:`erase_traces`.
        """
        with self.reading() as connection:
            self._guard.check()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                self._has_traces |= erases
                connection.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has already rolled back.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._sweeper.note_failed_commit()
                raise
            self._sweeper.note_commit()
            # A commit into a deleted file is lost with this process.
            self._guard.check(is_stored=True)
        self._written.set()

    def check_files(self) -> None:
        """Check that the files are still those that were opened; every transaction does so as well.

        Raises:
            DatabaseReplaced: see :meth:`gallery.stores.sqlite.file.file_guard.FileGuard.check`.
            StorageUnavailable: the database is closed.
        """
        with self.reading():
            self._guard.check()

    def erase_traces(self, *, patience: float) -> None:
        """Remove deleted data from the log, and from the gaps of the database's pages.

        The log is moved into the database and emptied. This takes longer if the whole file must be swept, because an
        earlier version wrote it, or a process that died.

        Args:
            patience: how long to wait for other processes that read the log, seconds. Other threads can read and write
                in the meantime.

        Raises:
            StorageBusy: they are still reading, or the sweep takes longer. The background thread goes on with it.
        """
        deadline = time.monotonic() + patience
        while self._has_traces:
            is_free = self._erase_some()
            if self._has_traces and time.monotonic() >= deadline:
                cause = "it is still being swept" if is_free else "another process reads it"
                raise StorageBusy(f"traces are still in {self.path}: {cause}")
            if not is_free:
                self._closing.wait(_RETRY_SECONDS)

    def check_room(self, added: int) -> None:
        """Check that the disk has room for a transaction, and then still for moving the log into the database.

        A log that cannot be moved cannot be emptied, and deleting rows makes it longer: who fills the disk with the log
        could not even remove what he wrote.

        Args:
            added: what the transaction adds to the log, bytes.

        Raises:
            StorageFull: there is no room.
        """
        if not self._has_room(added):
            self._erase_some()
            if not self._has_room(added):
                raise StorageFull(f"no room for {self.path} and its log")

    def run_in_background(self, work: Callable[[], None]) -> None:
        """Have the background thread run something, again and again until it succeeds."""
        self._background_work.append(work)
        self._written.set()

    def run_every_round(self, work: Callable[[], None]) -> None:
        """Have the background thread call something soon after each change; it must neither wait nor raise."""
        self._rounds.append(work)
        self._written.set()

    def close(self) -> None:
        """Close the database; does nothing the second time."""
        self._closing.set()
        self._written.set()
        self._thread.join()
        with self._turn, self._lock, storage_errors(self.path):
            if self._is_closed:
                return
            self._is_closed = True
            is_clean = self._sweeper.is_clean
            with self._opened:
                self._checkpointer.close()
                self.connection.close()
                if is_clean:
                    write_mark(self._lock_file, self._file)

    def _has_room(self, added: int) -> bool:
        try:
            return shutil.disk_usage(self.path.parent).free > self._log.stat().st_size + 2 * added
        except OSError:
            return True  # the transaction itself will say what is wrong

    def _erase_some(self) -> bool:
        """Empty the log and sweep some pages; ``False`` if another process, or a file that was cut off, prevents it."""
        with self._checkpointing, self.reading() as connection:
            if not self._guard.note_size():
                return False
            busy, _, _ = self._checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._guard.note_size()
            if busy:
                return False
            if not self._sweeper.is_clean:
                if not self._sweeper.sweep(self._checkpointer, most=_PAGES_AT_ONCE):
                    return False
                forget_pages(connection)
                forget_pages(self._checkpointer)
            self._has_traces &= not self._sweeper.is_clean
            return True

    def _maintain(self) -> None:
        while self._written.wait() and not self._closing.wait(_MAINTENANCE_SECONDS):
            self._written.clear()
            if self._closing.is_set():
                return  # close() may have set both events before this one was cleared
            # If this fails, the data is still safe in the log, and the next round tries again.
            with suppress(sqlite3.Error), self._checkpointing:
                if self._guard.note_size():
                    self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    self._guard.note_size()
            is_done = self._do_background_work()
            try:
                is_done &= self._tidy()
            except StorageError:
                is_done = False
            for work in tuple(self._rounds):
                work()
            if not is_done:
                self._written.set()

    def _do_background_work(self) -> bool:
        """Run each work that waits; return whether all succeeded."""
        for work in tuple(self._background_work):
            with suppress(StorageError):
                work()
                self._background_work.remove(work)
        return not self._background_work

    def _close_log_index(self) -> None:
        if self._log_index is not None:
            os.close(self._log_index)

    def _tidy(self) -> bool:
        """Erase traces, and sweep other pages while nobody writes. Return whether all is done."""
        while self._has_traces or not self._sweeper.is_clean:
            is_urgent = self._has_traces or not self._written.is_set()
            if not is_urgent or self._closing.is_set() or not self._erase_some():
                return False
        return True
