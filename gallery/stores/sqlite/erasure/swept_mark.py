"""The mark in a lock file that its database was swept completely before it was closed."""

from __future__ import annotations

import os

_MOST_BYTES = 200


def read_mark(lock_file: int, database: int) -> bool:
    """Take the mark out of a lock file, and return whether it is that of the database as it is now.

    The mark is gone afterwards: what happens to the database from now on is known to this process only.

    Args:
        lock_file: open for reading and writing, and locked.
        database: the open database file.
    """
    try:
        found = os.pread(lock_file, _MOST_BYTES, 0)
        os.ftruncate(lock_file, 0)
    except OSError:
        return False
    return found == _mark_of(database)


def write_mark(lock_file: int, database: int) -> None:
    """Write the mark of a database that is swept, and that nobody writes to from now on."""
    os.pwrite(lock_file, _mark_of(database), 0)


def _mark_of(database: int) -> bytes:
    found = os.fstat(database)
    return f"swept {found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}\n".encode()
