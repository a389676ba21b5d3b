"""How far a database is encrypted, read from its files without a key; and new data keys for all of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gallery.encryption.key_file import key_path, read_key_file
from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import MasterKeySource
from gallery.errors import StorageUnavailable
from gallery.stores.sqlite.file.files import connect_to_read, owned, resolved
from gallery.stores.sqlite.sealing.database_keys import check_key_file, database_id_of

_GALLERIES = """
    SELECT key, gallery_id, data_keys, sealed_under, template_count FROM galleries
    WHERE NOT hidden ORDER BY gallery_id"""
_PENDING = """
    SELECT COUNT(*) FROM templates
    WHERE gallery_key = ? AND NOT (picture_sha256 = char(1) AND substr(embedding, 2, 8) = ?)"""


@dataclass(frozen=True, slots=True)
class GalleryProgress:
    """How far a gallery is encrypted.

    Attributes:
        gallery_id: the gallery.
        templates: the number of its templates.
        pending: how many are not encrypted under the newest data key yet.
        is_complete: whether all of the gallery is.
    """

    gallery_id: str
    templates: int
    pending: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class EncryptionStatus:
    """How far a database is encrypted.

    Attributes:
        is_encrypted: whether it has a key file.
        key_file: its path; empty if it has none.
        galleries: every gallery.
        masters: how many data keys each master key wraps, by its id.
        destroyed: the number of deleted galleries whose data keys were destroyed.
    """

    is_encrypted: bool
    key_file: str
    galleries: tuple[GalleryProgress, ...]
    masters: Mapping[str, int]
    destroyed: int

    @property
    def is_complete(self) -> bool:
        """Whether all of it is encrypted."""
        return self.is_encrypted and all(gallery.is_complete for gallery in self.galleries)


def encryption_status(database: Path) -> EncryptionStatus:
    """Read how far a database is encrypted; a server may have it open.

    Raises:
        StorageError: it cannot be read, or its key file is not the right one.
    """
    path = resolved(database)
    with connect_to_read(path) as connection:
        if not database_id_of(connection, path):
            return EncryptionStatus(False, "", (), {}, 0)
        check_key_file(path, connection)
        contents, _ = read_key_file(key_path(path))
        newest = {uid: keys[-1].key_id for uid, keys in contents.galleries.items()}
        rows = connection.execute(_GALLERIES).fetchall()
        galleries = tuple(_progress(connection, row, newest) for row in rows)
    wrapping = [key.master for keys in contents.galleries.values() for key in keys]
    masters = {master: wrapping.count(master) for master in sorted(set(wrapping))}
    return EncryptionStatus(True, str(key_path(path)), galleries, masters, len(contents.destroyed))


def renew_data_keys(database: Path, master_keys: MasterKeySource) -> int:
    """Give every gallery of a database that nobody has open a new data key; return how many there are.

    Raises:
        StorageBusy: a process has it open.
        StorageError: it is not encrypted, its keys are not the right ones, or the key file cannot be written.
    """
    path = resolved(database)
    with owned(path):
        with connect_to_read(path) as connection:
            if not database_id_of(connection, path):
                raise StorageUnavailable(f"{path} is not encrypted")
            check_key_file(path, connection)
        keyring = Keyring(key_path(path), master_keys.read())
        return keyring.renew()


def _progress(
    connection: sqlite3.Connection, row: tuple[int, str, str, str, int], newest: Mapping[str, bytes]
) -> GalleryProgress:
    key, gallery_id, uid, sealed_under, templates = row
    key_id = newest.get(uid, b"")
    if sealed_under and sealed_under == key_id.hex():
        return GalleryProgress(gallery_id, templates, 0, True)
    (pending,) = connection.execute(_PENDING, (key, key_id)).fetchone()
    return GalleryProgress(gallery_id, templates, pending, False)
