"""The migrations of galleries in Milvus."""

from __future__ import annotations

import secrets
from datetime import timedelta

from gallery.errors import StorageUnavailable
from gallery.records import migration_json
from gallery.records.migration_json import InvalidMigration
from gallery.records.migrations import Migration
from gallery.stores.milvus.connection import MilvusConnection
from gallery.stores.milvus.rows import row_id
from gallery.stores.milvus.schema import Collections, with_no_vector
from gallery.times import microseconds_ago, now, to_microseconds

_KIND = "migrations"
_SUPERSEDED_AFTER = timedelta(minutes=1)
"""A row that is older, and not the gallery's, is not about to become it. The clocks of servers must differ by less."""


class MigrationRows:
    """Reads and writes migrations; their collection is created with the first one.

    A row is never changed. A gallery's own row names that of its migration, so one write of the gallery's row changes
    all that a migration is about at once: the contract that searches, the thresholds, and the migration itself. A row
    that was read once needs not be read again.

    Args:
        milvus: the connection.
        collections: its collections.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections
        self._read: dict[int, tuple[str, Migration]] = {}

    def read(self, gallery_key: int, name: str) -> Migration | None:
        """Return the migration in a row of the gallery with a key; ``None`` if it is gone.

        Raises:
            StorageUnavailable: it is not as it was written.
        """
        known = self._read.get(gallery_key)
        if known is not None and known[0] == name:
            return known[1]
        collection, key = self._collections.find(_KIND), row_id(gallery_key, name)
        if collection is None:
            return None
        # Nobody waits for other processes' writes unless the row is not there yet.
        for strong in (False, True):
            if row := self._milvus.get(collection, [key], ("text",), strong=strong).get(key):
                migration = _migration_of(row["text"])
                self._read[gallery_key] = name, migration
                return migration
        return None

    def write(self, gallery_key: int, migration: Migration, *, current: str) -> str:
        """Write a migration of the gallery with a key in a new row, and return the row's name.

        Rows that were superseded a while ago are deleted.

        Args:
            gallery_key: the key.
            migration: the migration.
            current: names the row of the migration that the gallery has; empty for none.
        """
        collection, name = self._collections.ensure(_KIND), secrets.token_hex(16)
        # Before the new row is written: this read would wait for it.
        old = f"gallery == {gallery_key} and written < {microseconds_ago(_SUPERSEDED_AFTER)}"
        superseded = [row["id"] for row in self._milvus.query(collection, old, ("id",))]
        row = {"id": row_id(gallery_key, name), "gallery": gallery_key, "written": to_microseconds(now())}
        self._milvus.insert(collection, [with_no_vector(row | {"text": migration_json.to_text(migration)})])
        self._milvus.delete(collection, [each for each in superseded if each != row_id(gallery_key, current)])
        self._read[gallery_key] = name, migration
        return name


def _migration_of(text: str) -> Migration:
    try:
        migration = migration_json.from_text(text)
    except InvalidMigration as error:
        raise StorageUnavailable(f"a migration in Milvus is not as it was written: {error}") from error
    if migration is None:
        raise StorageUnavailable("a migration in Milvus is not as it was written: it is empty")
    return migration
