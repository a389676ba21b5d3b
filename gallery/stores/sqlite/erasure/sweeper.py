"""Clears the gaps of pages, so that erased rows leave no copy in the file; :mod:`.page_gaps` says where they are."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from gallery.stores.sqlite.erasure.log_reader import LogReader
from gallery.stores.sqlite.erasure.page_gaps import MAX_PAGES, clear_gap


class Sweeper:
    """Knows the pages whose gaps may hold copies of rows, and clears them.

    These are the pages that were written since they were last cleared and, if nobody cleared the file before, all
    others.

    Args:
        descriptor: the database file, open for reading and writing. It must stay open as long as any connection of
            this process: closing it would release SQLite's locks on the file.
        log: the write-ahead log.
        page_size: bytes.
        is_swept: whether the file was cleared when it was last closed, and has not been changed since.

    Raises:
        OSError: the log cannot be opened.
    """

    def __init__(self, descriptor: int, log: Path, *, page_size: int, is_swept: bool) -> None:
        self._descriptor = descriptor
        self._page_size = page_size
        self._log = LogReader(log, page_size)
        self._written: set[int] = set()
        self._next_of_all = 0 if is_swept else 1
        """The next page of a sweep through the whole file; 0 if it is done."""

    @property
    def is_clean(self) -> bool:
        """Whether no gap holds anything."""
        return not self._next_of_all and not self._written

    def note_commit(self) -> None:
        """Note the pages that a transaction wrote; call it before the next one begins."""
        try:
            self._written |= self._log.new_pages()
        except OSError:
            # The transaction is on disk all the same, so this is no reason to refuse it.
            self._next_of_all = 1

    def note_failed_commit(self) -> None:
        """Note that a transaction was rolled back."""
        self._log.expect_overwriting()

    def sweep(self, writer: sqlite3.Connection, *, most: int) -> bool:
        """Clear the gaps of some pages; return whether it could.

        All of the log must have been moved into the database, and this process must not begin a transaction in the
        meantime. Every connection must forget the pages that it remembers afterwards, because it would write the old
        gaps again: see :func:`forget_pages`.

        Args:
            writer: an idle connection, which keeps other processes from writing in the meantime.
            most: the number of pages.

        Raises:
            OSError: the file cannot be read or written. The gaps stay noted.
            sqlite3.Error: another process writes.
        """
        writer.execute("BEGIN IMMEDIATE")
        try:
            if not self._log.is_empty:
                return False
            if self._clear(most):
                os.fdatasync(self._descriptor)
            return True
        finally:
            writer.execute("ROLLBACK")

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _clear(self, most: int) -> bool:
        page_count = min(os.fstat(self._descriptor).st_size // self._page_size, MAX_PAGES)
        has_cleared = False
        for _ in range(most):
            if self._written:
                number = self._written.pop()
            elif 0 < self._next_of_all <= page_count:
                number = self._next_of_all
                self._next_of_all += 1
            else:
                self._next_of_all = 0
                break
            try:
                has_cleared |= clear_gap(self._descriptor, number, self._page_size)
            except OSError:
                self._written.add(number)
                raise
        return has_cleared


def forget_pages(connection: sqlite3.Connection) -> None:
    """Have an idle connection drop all pages that it has read, so that it reads them from the file again."""
    connection.execute("PRAGMA shrink_memory")
