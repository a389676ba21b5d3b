"""A gallery whose data keys cannot be destroyed yet is deleted: its rows now, its data keys later."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gallery.encryption.key_file import key_path, read_key_file
from gallery.encryption.master_keys import KeyFile
from gallery.errors import KeysUnusable
from gallery.galleries import Galleries
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION
from tests.unit.gallery.stores.sqlite.sealing.samples import fill
from tests.waiting import until


def test_a_deleted_gallery_whose_keys_cannot_be_destroyed_holds_up_nothing(database: Path, key_file: KeyFile) -> None:
    def count(table: str) -> int:
        with closing(sqlite3.connect(database)) as connection:
            (rows,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
            return int(rows)

    store = SqliteStore(database, master_keys=key_file)
    galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5)
    fill(galleries, "deleted", range(3))
    older = key_path(database).read_bytes()
    fill(galleries, "kept", range(3, 6))
    right = key_path(database).read_bytes()
    key_path(database).write_bytes(older)
    with pytest.raises(KeysUnusable, match="was replaced") as raised:
        galleries.delete_gallery("deleted", force=True)
    assert raised.value.change_was_made
    assert count("templates") == count("subjects") == 3
    assert not store.database.has_traces
    # Called by the same thread, and nothing that waits for the key file keeps the log from being emptied.
    galleries.delete_subject("kept", "s3")
    store.delete_subject("kept", "s4", etag="")
    until(lambda: not store.database.has_traces)
    assert count("galleries") == 2
    key_path(database).write_bytes(right)
    until(lambda: count("galleries") == 1)
    contents, _ = read_key_file(key_path(database))
    assert len(contents.galleries) == len(contents.destroyed) == 1
    galleries.close()
