"""Notices that the files of an open database were deleted, replaced, linked or cut off."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from gallery.errors import DatabaseReplaced, StorageUnavailable
from gallery.stores.sqlite.file.opening_token import OpeningToken


def open_database_file(path: Path) -> int:
    """Open a database file, or create one, and return a descriptor; only its owner can read it afterwards.

    Raises:
        StorageUnavailable: it cannot be opened or created, is no regular file, or has several names (hard links).
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be opened: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        _check_regular(path, found)
        if found.st_mode & 0o077 and found.st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
    except OSError as error:
        os.close(descriptor)
        raise StorageUnavailable(f"{path} cannot be opened: {error.strerror}") from error
    except StorageUnavailable:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StorageUnavailable(f"{path} cannot be opened: it is not a regular file")
    if found.st_nlink != 1:
        raise StorageUnavailable(
            f"{path} is one of {found.st_nlink} names of the same file (hard links), by which another server could "
            "open it too: remove the others, or copy the file"
        )


_HEADER_BYTES = 100
_CONSTANT = ((slice(0, 16), b"SQLite format 3\0"), (slice(18, 20), b"\2\2"))
"""What the header of an open database says, whatever is written to it: its format, and that it has a log. A backup says
that it has none. See https://www.sqlite.org/fileformat2.html."""


class FileGuard:
    """Compares the files of an open database with what their names lead to.

    SQLite keeps its files open and goes on when they are deleted: what it writes then is lost with the process.

    Args:
        path: the database.
        descriptor: the open database file.
        beside: the other files that must stay: the log, its index, and the lock. They exist.
        token: what this process wrote into the database when it opened it; ``None`` if it could not.

    Raises:
        OSError: one of them does not exist.
    """

    def __init__(self, path: Path, descriptor: int, beside: tuple[Path, ...], token: OpeningToken | None) -> None:
        self._path = path
        self._descriptor = descriptor
        self._files = {path: _identity(os.fstat(descriptor))} | {each: _identity(each.stat()) for each in beside}
        self._size = 0
        self._is_cut_off = False
        self._size_lock = threading.Lock()
        self._token = token

    def check(self, *, is_stored: bool = False) -> None:
        """Check that the files are still those that were opened.

        Args:
            is_stored: whether a change has just been stored. A second name does it no harm then, so only the next
                change is refused.

        Raises:
            DatabaseReplaced: one was deleted, replaced, overwritten or cut off, or has a second name. A second name can
                be removed again; otherwise the process must open the database again.
        """
        for each, identity in self._files.items():
            try:
                found = each.stat()
            except OSError as error:
                raise DatabaseReplaced(str(self._path), f"{each.name} is gone") from error
            if _identity(found) != identity:
                raise DatabaseReplaced(str(self._path), f"{each.name} is another file")
            if found.st_nlink != 1 and not is_stored:
                raise DatabaseReplaced(str(self._path), f"{each.name} has a second name, a hard link")
        if not self.note_size():
            raise DatabaseReplaced(str(self._path), f"{self._path.name} was cut off")
        header = os.pread(self._descriptor, _HEADER_BYTES, 0)
        if header and not all(header[where] == value for where, value in _CONSTANT):
            raise DatabaseReplaced(str(self._path), f"{self._path.name} was overwritten")
        if self._token is not None and not self._token.is_in(self._descriptor):
            raise DatabaseReplaced(str(self._path), f"{self._path.name} was overwritten with another database")

    def note_size(self) -> bool:
        """Remember how large the database is, which only grows; return ``False`` if it was ever cut off.

        A checkpoint lets it grow after the last change was checked, and would fill up a file that was cut off.
        """
        with self._size_lock:  # the file may grow after its size was read, and another thread may remember that
            size = os.fstat(self._descriptor).st_size
            self._is_cut_off |= size < self._size
            self._size = max(self._size, size)
            return not self._is_cut_off


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
