"""The keys of a database: found or made when it is opened, and refused if they are not the right ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gallery.encryption.key_file import key_path, read_key_file
from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import MasterKeys
from gallery.errors import KeysUnusable
from gallery.stores.sqlite.database import SqliteDatabase
from gallery.stores.sqlite.schema import FIRST_ENCRYPTED, schema_version

_WITHOUT_KEY = "SELECT key FROM galleries WHERE data_keys = '' AND NOT hidden"


def database_id_of(connection: sqlite3.Connection, path: Path) -> str:
    """Return the id by which a database names its key file; empty if it is not encrypted."""
    if schema_version(connection, path) < FIRST_ENCRYPTED:
        return ""
    row = connection.execute("SELECT database_id FROM encryption").fetchone()
    return str(row[0]) if row else ""


def gallery_keys_of(connection: sqlite3.Connection) -> list[str]:
    """Return the ids, in the key file, of all galleries that are not hidden and have data keys."""
    rows = connection.execute("SELECT data_keys FROM galleries WHERE data_keys != '' AND NOT hidden")
    return [uid for (uid,) in rows]


def check_key_file(path: Path, connection: sqlite3.Connection) -> None:
    """Check that the key file of a database is its own, and has the data keys of its galleries, without a master key.

    Args:
        path: the database whose key file it is.
        connection: the database, or a copy that is to take its place.

    Raises:
        KeysUnusable: it is missing, damaged, or that of another database, or data keys are missing.
    """
    database_id = database_id_of(connection, path)
    if not database_id:
        return
    contents, _ = read_key_file(key_path(path))
    if contents.database != database_id:
        raise _foreign(key_path(path))
    known = contents.galleries.keys() | contents.destroyed
    if missing := [uid for uid in gallery_keys_of(connection) if uid not in known]:
        raise _older(key_path(path), len(missing))


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
                "gallery.encryption_key_command, to the master key that it was encrypted with"
            )
        return None
    with database.reading() as connection:
        check_key_file(database.path, connection)
    keyring = Keyring(path, masters) if database_id or path.exists() else Keyring.create(path, masters)
    keyring.use(masters)
    if not database_id:
        with database.writing() as connection:
            connection.execute("INSERT INTO encryption (key, database_id) VALUES (1, ?)", (keyring.database,))
    _give_keys(database, keyring)
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


def _foreign(path: Path) -> KeysUnusable:
    return KeysUnusable(f"{path} is the key file of another database: put the right one in its place")


def _older(path: Path, galleries: int) -> KeysUnusable:
    return KeysUnusable(
        f"the key file {path} is older than the database: it lacks the data keys of {galleries} galleries; put the "
        "newest copy of it in its place"
    )
