"""Backup, restore and compaction of the SQLite store's file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gallery.encryption import age
from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import MasterKeySource
from gallery.errors import DatabaseDamaged, StorageBusy, StorageUnavailable
from gallery.stores.sqlite.erasure.page_gaps import clear_gaps
from gallery.stores.sqlite.erasure_records.made_copies import note_copy
from gallery.stores.sqlite.file.files import PAGE_SIZE, connect_to_read, owned, resolved, storage_errors
from gallery.stores.sqlite.file.replacing import check_replaceable, remove_log_files, replacing, scratch
from gallery.stores.sqlite.sealing.database_keys import check_key_file
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import Verification, verify

Progress = Callable[[int, int], None]
"""Called with the number of pages copied, and of all pages."""

_BYTES_AT_ONCE = 2**24


def backup(
    database: Path,
    target: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    recipients: Sequence[Any] = (),
    keyring: Keyring | None = None,
) -> Verification:
    """Copy a database as it is at this moment, and verify the copy; a server may have the database open.

    The copy is one file that only its owner can read. It appears complete and verified, or not at all. The server
    reads and writes during the backup, but traces of deleted data stay in its log until the pages are copied.

    With recipients, the copy is encrypted by age. It is made next to the database first, so that nothing that is not
    encrypted is on the disk of the target.

    Args:
        database: the database.
        target: the copy; its folder must exist.
        replace: replace an existing file.
        progress: called during the copy.
        recipients: see :func:`gallery.encryption.age.recipients_of`.
        keyring: the data keys of an encrypted database; without them, only the structure of the copy is verified.

    Raises:
        FileExistsError: the file exists, and ``replace`` is not set.
        StorageError: the database cannot be read or is damaged, or the disk is full.
    """
    target = resolved(target)
    check_replaceable(target, replace)
    if not recipients:
        with replacing(target, replace) as copy:
            verification = _copy(database, copy, progress, keyring)
    else:
        with scratch(resolved(database)) as (copy, descriptor):
            verification = _copy(database, copy, progress, keyring)
            clear_gaps(descriptor)
            copy.unlink()  # so that nothing is left of it if this process is killed from here on
            with replacing(target, replace) as partial, partial.open("wb") as file:
                age.encrypt(_pieces(descriptor), file, recipients)
    note_copy(resolved(database), "backup")
    return verification


def restore(
    copy: Path,
    database: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    identities: Sequence[Any] = (),
    keyring: Keyring | None = None,
) -> Verification:
    """Replace a database by a verified copy of a backup.

    At any moment the database is either completely the old one or completely the backup. The backup is only read.

    Args:
        copy: the backup.
        database: the database; no server may have it open.
        replace: replace an existing database, which is lost.
        progress: called during the copy.
        identities: see :func:`gallery.encryption.age.identities_of`; for a backup that is encrypted by age.
        keyring: the data keys of an encrypted backup; without them, only its structure is verified. The database must
            have its key file next to it already.

    Raises:
        AgeError: the backup is encrypted by age, and the identities do not fit.
        KeysUnusable: the backup is encrypted, and the key file of the database is missing, another one's, or lacks its
            data keys.
        FileExistsError: the database exists, and ``replace`` is not set.
        StorageBusy: a server has the database open.
        StorageError: the backup cannot be read or is damaged, or the disk is full.
    """
    if not copy.is_file():
        raise StorageUnavailable(f"there is no backup {copy}")
    with storage_errors(copy):
        is_encrypted = age.is_encrypted(copy)
    database = resolved(database)
    with owned(database):
        check_replaceable(database, replace)
        with replacing(database, replace) as partial:
            if is_encrypted:
                _decrypt(copy, partial, identities)
                verification = _verified(partial, keyring)
            else:
                verification = _copy(copy, partial, progress, keyring)
            with connect_to_read(partial) as connection:
                check_key_file(database, connection, is_backup=True)
            _settle(database)
        return verification


def compact(database: Path, master_keys: MasterKeySource | None = None) -> tuple[int, int]:
    """Rewrite a database without the space of deleted rows, and return its size before and after, in bytes.

    This also removes what unfinished imports and deletions left, and gives databases of older versions the current
    page size. At any moment the file is either the old one or the compact one.

    Args:
        database: the database.
        master_keys: where the master keys of an encrypted database come from.

    Raises:
        KeysUnusable: it is encrypted, and its keys are missing or wrong.
        StorageBusy: a server has the database open.
        StorageError: it cannot be read or is damaged, or the disk has no room for a second copy.
    """
    if not database.is_file():
        raise StorageUnavailable(f"there is no database {database}")
    database = resolved(database)
    before = database.stat().st_size
    store = SqliteStore(database, patience=0, master_keys=master_keys)
    try:
        # The copy has no traces, so it need not wait until the old file has none.
        with suppress(StorageBusy):
            store.scrub()
    finally:
        store.close()
    with owned(database):
        with replacing(database, replace=True) as partial:
            with connect_to_read(database) as connection:
                connection.execute("ROLLBACK")  # VACUUM makes its own transaction
                connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
                connection.execute("VACUUM INTO ?", (str(partial),))
            _verified(partial, None)
            _settle(database)
        return before, database.stat().st_size


def _pieces(descriptor: int) -> Iterator[bytes]:
    """Read a file from its beginning."""
    offset = 0
    while piece := os.pread(descriptor, _BYTES_AT_ONCE, offset):
        yield piece
        offset += len(piece)


def _decrypt(copy: Path, target: Path, identities: Sequence[Any]) -> None:
    with copy.open("rb") as source, target.open("wb") as file:
        for piece in age.decrypt(source, identities):
            file.write(piece)


def _copy(source: Path, copy: Path, progress: Progress | None, keyring: Keyring | None) -> Verification:
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
    return _verified(copy, keyring)


def _verified(copy: Path, keyring: Keyring | None) -> Verification:
    verification = verify(copy, keyring)
    if verification.problems:
        raise DatabaseDamaged(str(copy), verification.problems[0])
    return verification


def _settle(database: Path) -> None:
    """Remove everything next to a database that would be taken for a part of its replacement."""
    if database.exists() and not _try_emptying_log(database):
        raise StorageBusy(f"another process reads {database}")
    remove_log_files(database)


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
