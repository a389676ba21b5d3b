"""The files of an SQLite database: owned by one process, opened durably, brought to this version's schema."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gallery.errors import SchemaTooNew, StorageBusy, StorageError, StorageFull, StorageUnavailable

APPLICATION_ID = 0x46414345
"""In the file's header: "FACE"."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE galleries (
            key INTEGER PRIMARY KEY,
            gallery_id TEXT NOT NULL UNIQUE,
            display_name TEXT NOT NULL,
            threshold REAL NOT NULL,
            contract TEXT NOT NULL,
            create_time INTEGER NOT NULL,
            update_time INTEGER NOT NULL,
            etag TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE subjects (
            key INTEGER PRIMARY KEY,
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            subject_id TEXT NOT NULL,
            display_name TEXT NOT NULL,
            create_time INTEGER NOT NULL,
            update_time INTEGER NOT NULL,
            etag TEXT NOT NULL,
            UNIQUE (gallery_key, subject_id)
        ) STRICT""",
        """CREATE TABLE templates (
            key INTEGER PRIMARY KEY,
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            subject_key INTEGER NOT NULL REFERENCES subjects ON DELETE CASCADE,
            template_id TEXT NOT NULL,
            picture_sha256 TEXT NOT NULL,
            x1 REAL NOT NULL,
            y1 REAL NOT NULL,
            x2 REAL NOT NULL,
            y2 REAL NOT NULL,
            quality REAL NOT NULL,
            create_time INTEGER NOT NULL,
            embedding BLOB NOT NULL,
            UNIQUE (gallery_key, template_id)
        ) STRICT""",
        "CREATE INDEX templates_of_subject ON templates (subject_key, template_id)",
        """CREATE TABLE requests (
            gallery_key INTEGER NOT NULL REFERENCES galleries ON DELETE CASCADE,
            request_id TEXT NOT NULL,
            digest TEXT NOT NULL,
            template_key INTEGER NOT NULL REFERENCES templates ON DELETE CASCADE,
            PRIMARY KEY (gallery_key, request_id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX requests_of_template ON requests (template_key)",
    ),
)
"""What leads from one schema version to the next; the first from nothing to version 1."""

_BUSY_SECONDS = 5.0


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about a database into ours.

    Raises:
        StorageFull: the disk, or a quota, is full.
        StorageBusy: another process holds SQLite's own lock.
        StorageUnavailable: anything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        if primary == sqlite3.SQLITE_FULL:
            raise StorageFull(f"no room for {path}") from error
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StorageBusy(f"another process has {path} open") from error
        raise StorageUnavailable(f"{path}: {error}") from error


def lock(path: Path) -> int:
    """Take a database for this process alone; a descriptor, and who closes it lets go.

    The lock is on a file beside it, ``<name>.lock``, which stays: to delete it would let two processes lock
    two files of that name. The kernel lets go when the process dies, however it does.

    Raises:
        StorageBusy: another process has it.
        StorageUnavailable: the folder is missing or cannot be written.
    """
    beside = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageUnavailable(f"{beside} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StorageBusy(f"another process has {path} open") from error
    return descriptor


def connect(path: Path) -> sqlite3.Connection:
    """Open a database, or make one that only its owner can read, and bring it to this version's schema.

    A commit is on disk when it returns (WAL, ``synchronous=FULL``), and what is deleted is overwritten
    (``secure_delete``).

    Raises:
        SchemaTooNew: a newer version wrote it.
        StorageError: it cannot be opened or made, or is not a database of galleries.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be opened: {error.strerror}") from error
    with storage_errors(path):
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        with storage_errors(path):
            _prepare(connection, path)
    except StorageError:
        connection.close()
        raise
    return connection


def truncate_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Move the write-ahead log into the database and empty it, so that it holds no former contents.

    Raises:
        StorageBusy: another process reads it.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StorageBusy(f"another process reads {path}, whose log cannot be emptied")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = _schema_version(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageUnavailable(f"{path} is on a file system without a write-ahead log")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    truncate_wal(connection, path)


def _schema_version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    is_new = (version, application, objects) == (0, 0, 0)
    if not is_new and application != APPLICATION_ID:
        raise StorageUnavailable(f"{path} is a database, but not one of galleries")
    if version > len(MIGRATIONS):
        raise SchemaTooNew(str(path), version, len(MIGRATIONS))
    return int(version)
