"""The keys of a database: found or made when it is opened, and refused if they are not the right ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gallery.encryption.key_file import key_path, read_key_file, remove_left_partial
from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import MasterKeys
from gallery.errors import KeysUnusable
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.schema import FIRST_ENCRYPTED, schema_version

_WITHOUT_KEY = "SELECT key FROM galleries WHERE data_keys = '' AND NOT hidden"
_SEALED = "SELECT key, data_keys, sealed_under FROM galleries WHERE data_keys != '' AND NOT hidden"
_PLAIN = "-"
"""Stands for no data key in ``galleries.sealed_under``."""


def database_id_of(connection: sqlite3.Connection, path: Path) -> str:
    """Return the id by which a database names its key file; empty if it is not encrypted."""
    if schema_version(connection, path) < FIRST_ENCRYPTED:
        return ""
    row = connection.execute("SELECT database_id FROM encryption").fetchone()
    return str(row[0]) if row else ""


def check_key_file(path: Path, connection: sqlite3.Connection, *, is_backup: bool = False) -> None:
    """Check that the key file of a database is its own, and has all data keys that values are sealed under.

    No master key is needed.

    Args:
        path: the database whose key file it is.
        connection: the database, or a copy that is to take its place.
        is_backup: whether it is a copy; for the message.

    Raises:
        KeysUnusable: it is missing, damaged, or that of another database, or data keys are missing.
    """
    database_id = database_id_of(connection, path)
    if not database_id:
        return
    contents, _ = read_key_file(key_path(path))
    if contents.database != database_id:
        raise _foreign(key_path(path))
    lacking_all = lacking_some = 0
    for _, uid, sealed_under in connection.execute(_SEALED).fetchall():
        if uid in contents.destroyed:
            continue
        known = {key.key_id.hex() for key in contents.galleries.get(uid, ())}
        lacking_all += not known
        lacking_some += bool(known and not known.issuperset(_key_ids(sealed_under)))
    if lacking_all:
        raise _older(key_path(path), lacking_all)
    if lacking_some:
        raise (_before_renewal if is_backup else _renewed)(key_path(path), lacking_some)


def open_keyring(database: SqliteDatabase, masters: MasterKeys | None) -> Keyring | None:
    """Return the data keys of an open database; ``None`` if it is not encrypted and is not to be.

    A database that is to be encrypted from now on gets a key file, unless there is one: then its keys are kept, because
    backups may need them. Every gallery without data keys gets them.

    Raises:
        KeysUnusable: the database is encrypted, and there is no master key, or a key file is not the right one. Nothing
            was changed.
        StorageError: something cannot be read or written.
    """
    path = key_path(database.path)
    with database.reading() as connection:
        database_id = database_id_of(connection, database.path)
    if masters is None:
        if database_id:
            raise KeysUnusable(
                f"{database.path} is encrypted: set gallery.encryption_key_file, or gallery.encryption_key_env or "
                "gallery.encryption_key_command, to the master key that it was encrypted with; to turn encryption off, "
                "export the galleries with that key, and import them into a new database"
            )
        return None
    with database.reading() as connection:
        check_key_file(database.path, connection)
    remove_left_partial(path)
    keyring = Keyring(path, masters) if database_id or path.exists() else Keyring.create(path, masters)
    keyring.use(masters)
    if not database_id:
        with database.writing() as connection:
            connection.execute("INSERT INTO encryption (key, database_id) VALUES (1, ?)", (keyring.database,))
    _give_keys(database, keyring)
    _note_keys(database, keyring)
    return keyring


def _give_keys(database: SqliteDatabase, keyring: Keyring) -> None:
    """Give data keys to the galleries that have none."""
    with database.reading() as connection:
        without = [key for (key,) in connection.execute(_WITHOUT_KEY)]
    if without:
        uids = keyring.add(len(without))
        with database.writing() as connection:
            connection.executemany(
                "UPDATE galleries SET data_keys = ? WHERE key = ?", list(zip(uids, without, strict=True))
            )


def _note_keys(database: SqliteDatabase, keyring: Keyring) -> None:
    """Note which data key seals the values of each gallery from now on, before it seals the first one.

    So an older key file, which lacks it, is not accepted later.
    """
    with database.reading() as connection:
        rows = connection.execute(_SEALED).fetchall()
    noted = []
    for key, uid, sealed_under in rows:
        if keyring.has(uid) and (newest := keyring.newest(uid).key_id.hex()) not in _key_ids(sealed_under):
            noted.append((f"{sealed_under or _PLAIN} {newest}", key))
    if noted:
        with database.writing() as connection:
            connection.executemany("UPDATE galleries SET sealed_under = ? WHERE key = ?", noted)


def _key_ids(sealed_under: str) -> set[str]:
    return set(sealed_under.split()) - {_PLAIN}


def _foreign(path: Path) -> KeysUnusable:
    return KeysUnusable(f"{path} is the key file of another database: put the right one in its place")


def _older(path: Path, galleries: int) -> KeysUnusable:
    return KeysUnusable(
        f"the key file {path} is older than the database: it lacks the data keys of {galleries} galleries; put the "
        "newest copy of it in its place"
    )


def _renewed(path: Path, galleries: int) -> KeysUnusable:
    return KeysUnusable(
        f"the key file {path} is older than the database: it lacks newer data keys of {galleries} galleries; put the "
        "newest copy of it in its place. If the key file is the newest, the database is a copy from before a renewal "
        "of the data keys, and cannot be decrypted any more"
    )


def _before_renewal(path: Path, galleries: int) -> KeysUnusable:
    return KeysUnusable(
        f"the backup cannot be decrypted with the key file {path}: it lacks the data keys of {galleries} galleries; "
        "a backup from before a renewal of the data keys cannot be read any more, so restore a later one"
    )
