"""Copies of an SQLite database of galleries: backed up while a server writes to it, put back, made compact."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gallery.errors import StorageBusy, StorageUnavailable
from gallery.stores.sqlite.files import PAGE_SIZE, connect_to_read, damaged, owned, resolved, storage_errors
from gallery.stores.sqlite.store import SqliteStore
from gallery.stores.sqlite.verify import Verification, verify

Progress = Callable[[int, int], None]
"""Told how many pages are done, and of how many."""

_BYTES_AT_ONCE = 2**24


def backup(database: Path, target: Path, *, replace: bool = False, progress: Progress | None = None) -> Verification:
    """Copy a database as it is at this moment, whether a server has it open or not, and verify the copy.

    The copy is one file that only its owner can read. It is there whole and verified, or not at all. While it is
    made, others go on reading and writing; only the traces of what they delete stay in the server's log until the
    pages are copied.

    Args:
        database: what to copy.
        target: where to; its folder must be there.
        replace: also where there is a file already.
        progress: told as it goes.

    Raises:
        FileExistsError: there is a file, and ``replace`` is not set.
        StorageError: the database cannot be read, or is damaged, or there is no room.
    """
    target = resolved(target)
    _need_free(target, replace)
    with _written_beside(target, replace) as copy:
        return _copy(database, copy, progress)


def restore(copy: Path, database: Path, *, replace: bool = False, progress: Progress | None = None) -> Verification:
    """Put a verified copy of a backup in a database's place.

    The database is there whole as it was, or whole as the backup was, at any moment. The backup is only read.

    Args:
        copy: the backup.
        database: what it is to become; no server may have it open.
        replace: also where there is a database already, which is lost.
        progress: told as it goes.

    Raises:
        FileExistsError: there is a file, and ``replace`` is not set.
        StorageBusy: a server has the database open.
        StorageError: the backup cannot be read, or is damaged, or there is no room.
    """
    if not copy.is_file():
        raise StorageUnavailable(f"there is no backup {copy}")
    database = resolved(database)
    with owned(database):
        _need_free(database, replace)
        with _written_beside(database, replace) as beside:
            verification = _copy(copy, beside, progress)
            _settle(database)
        return verification


def compact(database: Path) -> tuple[int, int]:
    """Write a database anew without the room that deleted rows have left; its bytes before and after.

    Also removes what unfinished imports and deletions have left, and gives databases of older versions the page size
    of new ones. The file is as it was, or compact, at any moment.

    Raises:
        StorageBusy: a server has the database open.
        StorageError: it cannot be read, or is damaged, or there is no room for the second copy.
    """
    if not database.is_file():
        raise StorageUnavailable(f"there is no database {database}")
    database = resolved(database)
    before = database.stat().st_size
    store = SqliteStore(database)
    try:
        store.scrub()
    finally:
        store.close()
    with owned(database):
        with _written_beside(database, replace=True) as beside:
            with connect_to_read(database) as connection:
                connection.execute("ROLLBACK")  # VACUUM makes its own transaction
                connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
                connection.execute("VACUUM INTO ?", (str(beside),))
            _need_sound(beside)
            _settle(database)
        return before, database.stat().st_size


def _copy(source: Path, copy: Path, progress: Progress | None) -> Verification:
    """Copy the pages of a database into an empty file, and make sure that they are right there."""
    with storage_errors(copy):
        target = sqlite3.connect(copy, isolation_level=None)
        try:
            # Nobody sees it before it is whole and synced, which whoever makes it sees to.
            target.execute("PRAGMA synchronous = OFF")
            with connect_to_read(source) as connection:
                (page_size,) = connection.execute("PRAGMA page_size").fetchone()
                connection.backup(
                    target,
                    pages=_BYTES_AT_ONCE // page_size,
                    progress=progress and (lambda _, remaining, total: progress(total - remaining, total)),
                )
            # So that it needs no files beside it, and can be read where nothing can be written.
            target.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()
    return _need_sound(copy)


def _need_sound(copy: Path) -> Verification:
    verification = verify(copy)
    if verification.problems:
        raise damaged(copy, verification.problems[0])
    return verification


def _need_free(target: Path, replace: bool) -> None:
    if target.exists() and not replace:
        raise FileExistsError(f"{target} is there already")


@contextmanager
def _written_beside(target: Path, replace: bool) -> Iterator[Path]:
    """An empty file beside a target, which takes its place when all is written, and is gone where that fails."""
    beside = target.with_name(f"{target.name}.partial")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageUnavailable(f"{beside} cannot be opened: {error.strerror}") from error
    try:
        _claim(descriptor, beside)
        os.truncate(descriptor, 0)
        _remove_beside(beside)
        try:
            yield beside
            os.fsync(descriptor)
            _need_free(target, replace)
            beside.replace(target)
            _sync_folder(target.parent)
        except BaseException:
            beside.unlink(missing_ok=True)
            _remove_beside(beside)
            raise
    except FileExistsError:
        raise
    except OSError as error:
        raise StorageUnavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _claim(descriptor: int, path: Path) -> None:
    """Make sure that nobody else writes to a file: another that is at it, or has just given it its name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return
    except OSError:
        pass
    raise StorageBusy(f"another process writes {path}")


def _settle(database: Path) -> None:
    """Leave nothing beside a database that would be taken for a part of what takes its place."""
    if database.exists() and not _emptied_log(database):
        raise StorageBusy(f"another process reads {database}")
    _remove_beside(database)


def _emptied_log(database: Path) -> bool:
    connection = sqlite3.connect(database, isolation_level=None, timeout=0)
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode != sqlite3.SQLITE_BUSY
    except sqlite3.DatabaseError:
        # Damaged, and about to be lost.
        return True
    finally:
        connection.close()
    return not busy


def _remove_beside(database: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
