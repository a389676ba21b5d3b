"""The files of an SQLite database: locked for one process, opened durably."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gallery.errors import DatabaseDamaged, StorageBusy, StorageError, StorageFull, StorageUnavailable
from gallery.stores.sqlite.erasure.page_gaps import MAX_PAGES
from gallery.stores.sqlite.schema import migrate, schema_version

PAGE_SIZE = 16384
"""Of a new database, bytes. A page fits seven templates of 512 values; a page of 4096 bytes would fit one."""

_BUSY_SECONDS = 5.0
_KEPT_LOG_BYTES = 2**26
_MOST_LOG_BYTES = 2**28
"""The log exceeds this only if the checkpointer does not keep up; then a commit does its work."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a disk or a quota that is full, and of a file that may not grow."""
_PROBE_BYTES = 2**18
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate SQLite's errors about a database.

    Raises:
        StorageFull: the disk, or a quota, is full.
        StorageBusy: another process holds SQLite's own lock.
        StorageUnavailable: anything else.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull(f"no room for {path}") from error
        raise StorageUnavailable(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        # Raised for an error message of SQLite that quotes garbled text.
        raise DatabaseDamaged(str(path), "its schema is not text") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _has_no_room(path)):
            raise StorageFull(f"no room for {path}") from error
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StorageBusy(f"another process has {path} open") from error
        if code is None and isinstance(error, sqlite3.OperationalError):
            # SQLite's message quotes the text, which may be a person's name.
            raise DatabaseDamaged(str(path), "a text is not UTF-8") from error
        if primary in _DAMAGE:
            raise DatabaseDamaged(str(path), str(error)) from error
        raise StorageUnavailable(f"{path}: {error}") from error


def _has_no_room(path: Path) -> bool:
    """Tell whether a quota or the largest size of a file is reached: SQLite reports these like a broken disk."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        sizes = [each.stat().st_size for each in (path, path.with_name(f"{path.name}-wal")) if each.exists()]
        if limit != resource.RLIM_INFINITY and max(sizes, default=0) + _PROBE_BYTES > limit:
            return True
        with tempfile.TemporaryFile(dir=path.parent, buffering=0) as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as error:
        return error.errno in NO_ROOM
    return False


def resolved(path: Path) -> Path:
    """Resolve links, so that every path of a file locks and replaces the same file.

    Raises:
        StorageUnavailable: the links form a circle.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise StorageUnavailable(f"{path} cannot be opened: its links form a circle") from error


def lock_path(path: Path) -> Path:
    """Return the file whose lock is the lock of a database."""
    return path.with_name(f"{path.name}.lock")


def lock(path: Path) -> int:
    """Lock a database for this process, and return a descriptor; closing it releases the lock.

    The lock is on the file ``<name>.lock`` next to it, which is never deleted: otherwise two processes could lock two
    files of that name. The kernel releases the lock when the process dies.

    Raises:
        StorageBusy: another process has it.
        StorageUnavailable: the folder is missing or cannot be written.
    """
    lock_file = lock_path(path)
    try:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageUnavailable(f"{lock_file} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StorageBusy(f"another process has {path} open") from error
    return descriptor


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Lock a database for the duration of a block; see :func:`lock`."""
    descriptor = lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def connect(path: Path, *, check: bool = False) -> sqlite3.Connection:
    """Open a database in an existing file, which may be empty, and migrate it to the current schema.

    A commit is on disk when it returns (WAL, ``synchronous=FULL``), and deleted data is overwritten
    (``secure_delete``).

    Args:
        path: the file.
        check: read all of it first, and refuse it if it is damaged.

    Raises:
        SchemaTooNew: a newer version of this program wrote it.
        StorageError: it cannot be opened, is damaged, or is not a database of galleries.
    """
    with storage_errors(path):
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        with storage_errors(path):
            _prepare(connection, path, check=check)
    except StorageError:
        connection.close()
        raise
    return connection


def connect_checkpointer(path: Path) -> sqlite3.Connection:
    """Open a second connection to an open database, to move its log into it while the first one writes."""
    with storage_errors(path):
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def connect_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """Read a database as it is at this moment; another process may have it open and write to it.

    Until the block ends, the other process cannot erase deleted data from its log.

    Raises:
        StorageError: it cannot be opened or read, or is not a database of galleries.
    """
    if not path.is_file():
        raise StorageUnavailable(f"there is no database {path}")
    with storage_errors(path):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN")
            if not schema_version(connection, path):
                raise StorageUnavailable(f"{path} is empty")
            yield connection
        finally:
            connection.close()


def integrity_problems(connection: sqlite3.Connection, *, limit: int = 100) -> list[str]:
    """Return the problems that SQLite finds, at most ``limit`` lines; it reads the whole database."""
    said = connection.execute(f"PRAGMA integrity_check({limit})").fetchall()
    # Problems of pages come together, under a heading that names the database.
    lines = [line for (text,) in said for line in str(text).splitlines()]
    found = [line for line in lines if line != "ok" and not line.startswith("***")]
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(limit):
        found.append(f"row {row} of {table} refers to a missing row of {parent}")
    return found[:limit]


def _prepare(connection: sqlite3.Connection, path: Path, *, check: bool) -> None:
    version = schema_version(connection, path)
    if check and (problems := integrity_problems(connection, limit=1)):
        raise DatabaseDamaged(str(path), problems[0])
    if not version:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageUnavailable(f"{path} is on a file system that does not support a write-ahead log")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA max_page_count = {MAX_PAGES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_KEPT_LOG_BYTES}")
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute(f"PRAGMA wal_autocheckpoint = {_MOST_LOG_BYTES // page_size}")
    migrate(connection, version)
