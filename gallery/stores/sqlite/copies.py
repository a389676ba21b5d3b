"""Backup, restore and compaction of the SQLite store's file."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gallery.errors import DatabaseDamaged, StorageBusy, StorageFull, StorageUnavailable
from gallery.stores.sqlite.erasure.page_gaps import clear_gaps
from gallery.stores.sqlite.files import NO_ROOM, PAGE_SIZE, connect_to_read, owned, resolved, storage_errors
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import Verification, verify

Progress = Callable[[int, int], None]
"""Called with the number of pages copied, and of all pages."""

_BYTES_AT_ONCE = 2**24


def backup(database: Path, target: Path, *, replace: bool = False, progress: Progress | None = None) -> Verification:
    """Copy a database as it is at this moment, and verify the copy; a server may have the database open.

    The copy is one file that only its owner can read. It appears complete and verified, or not at all. The server
    reads and writes during the backup, but traces of deleted data stay in its log until the pages are copied.

    Args:
        database: the database.
        target: the copy; its folder must exist.
        replace: replace an existing file.
        progress: called during the copy.

    Raises:
        FileExistsError: the file exists, and ``replace`` is not set.
        StorageError: the database cannot be read or is damaged, or the disk is full.
    """
    target = resolved(target)
    _check_replaceable(target, replace)
    with _replacing(target, replace) as copy:
        return _copy(database, copy, progress)


def restore(copy: Path, database: Path, *, replace: bool = False, progress: Progress | None = None) -> Verification:
    """Replace a database by a verified copy of a backup.

    At any moment the database is either completely the old one or completely the backup. The backup is only read.

    Args:
        copy: the backup.
        database: the database; no server may have it open.
        replace: replace an existing database, which is lost.
        progress: called during the copy.

    Raises:
        FileExistsError: the database exists, and ``replace`` is not set.
        StorageBusy: a server has the database open.
        StorageError: the backup cannot be read or is damaged, or the disk is full.
    """
    if not copy.is_file():
        raise StorageUnavailable(f"there is no backup {copy}")
    database = resolved(database)
    with owned(database):
        _check_replaceable(database, replace)
        with _replacing(database, replace) as partial:
            verification = _copy(copy, partial, progress)
            _settle(database)
        return verification


def compact(database: Path) -> tuple[int, int]:
    """Rewrite a database without the space of deleted rows, and return its size before and after, in bytes.

    This also removes what unfinished imports and deletions left, and gives databases of older versions the current
    page size. At any moment the file is either the old one or the compact one.

    Raises:
        StorageBusy: a server has the database open.
        StorageError: it cannot be read or is damaged, or the disk has no room for a second copy.
    """
    if not database.is_file():
        raise StorageUnavailable(f"there is no database {database}")
    database = resolved(database)
    before = database.stat().st_size
    store = SqliteStore(database, patience=0)
    try:
        # The copy has no traces, so it need not wait until the old file has none.
        with suppress(StorageBusy):
            store.scrub()
    finally:
        store.close()
    with owned(database):
        with _replacing(database, replace=True) as partial:
            with connect_to_read(database) as connection:
                connection.execute("ROLLBACK")  # VACUUM makes its own transaction
                connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
                connection.execute("VACUUM INTO ?", (str(partial),))
            _verified(partial)
            _settle(database)
        return before, database.stat().st_size


def _copy(source: Path, copy: Path, progress: Progress | None) -> Verification:
    """Copy the pages of a database into an empty file, and verify it."""
    with storage_errors(copy):
        target = sqlite3.connect(copy, isolation_level=None)
        try:
            # The caller syncs the file before it becomes visible.
            target.execute("PRAGMA synchronous = OFF")
            with connect_to_read(source) as connection:
                (page_size,) = connection.execute("PRAGMA page_size").fetchone()
                connection.backup(
                    target,
                    pages=_BYTES_AT_ONCE // page_size,
                    progress=progress and (lambda _, remaining, total: progress(total - remaining, total)),
                )
            # So that the copy needs no other files, and can be read on a read-only disk.
            target.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()
    return _verified(copy)


def _verified(copy: Path) -> Verification:
    verification = verify(copy)
    if verification.problems:
        raise DatabaseDamaged(str(copy), verification.problems[0])
    return verification


def _check_replaceable(target: Path, replace: bool) -> None:
    if target.exists() and not replace:
        raise FileExistsError(f"{target} exists already")


@contextmanager
def _replacing(target: Path, replace: bool) -> Iterator[Path]:
    """Yield an empty file next to a target; it replaces the target at the end, or is deleted if the block raises.

    Raises:
        StorageFull: the disk is full.
        StorageUnavailable: the file cannot be written.
    """
    partial = target.with_name(f"{target.name}.partial")
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageUnavailable(f"{partial} cannot be opened: {error.strerror}") from error
    try:
        _claim(descriptor, partial)
        os.fchmod(descriptor, 0o600)
        os.truncate(descriptor, 0)
        _remove_log_files(partial)
        try:
            yield partial
            # A copy of a database that an earlier version wrote, or a process that died, has its traces.
            clear_gaps(descriptor)
            os.fsync(descriptor)
            _check_replaceable(target, replace)
            partial.replace(target)
            _sync_folder(target.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            _remove_log_files(partial)
            raise
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull(f"no room for {target}") from error
        raise StorageUnavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _claim(descriptor: int, path: Path) -> None:
    """Check that no other process writes to a file or has just renamed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return
    except OSError:
        pass
    raise StorageBusy(f"another process writes {path}")


def _settle(database: Path) -> None:
    """Remove everything next to a database that would be taken for a part of its replacement."""
    if database.exists() and not _try_emptying_log(database):
        raise StorageBusy(f"another process reads {database}")
    _remove_log_files(database)


def _try_emptying_log(database: Path) -> bool:
    connection = sqlite3.connect(database, isolation_level=None, timeout=0)
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode != sqlite3.SQLITE_BUSY
    except sqlite3.DatabaseError:
        # It is damaged, and about to be replaced.
        return True
    finally:
        connection.close()
    return not busy


def _remove_log_files(database: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
