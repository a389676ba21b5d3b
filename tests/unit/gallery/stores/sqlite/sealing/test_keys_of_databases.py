"""A database without the right keys is refused and left as it is; a deleted gallery cannot be read in any backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gallery.encryption.key_file import key_path
from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import KeyFile, MasterKeySource, new_key
from gallery.encryption.values import CannotOpen, open_value, place
from gallery.errors import GalleryNotFound, KeysUnusable
from gallery.stores.sqlite.copies import backup, restore
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.sealing.database_keys import open_keyring
from gallery.stores.sqlite.sealing.progress import encryption_status, renew_data_keys
from gallery.stores.sqlite.verify import verify
from tests.unit.gallery.stores.sqlite.sealing.samples import (
    cut_off,
    expected,
    fill,
    opened,
    people_of,
    wait_until_sealed,
)


@pytest.fixture
def filled(database: Path, key_file: KeyFile) -> Path:
    """An encrypted database with one gallery."""
    galleries = opened(database, key_file)
    fill(galleries, "g", range(3))
    galleries.close()
    return database


def no_master_key(_: Path, __: KeyFile) -> None:
    """Open it without."""


def another_master_key(_: Path, key_file: KeyFile) -> MasterKeySource:
    """Lose the master key."""
    key_file.path.write_text(new_key())
    return key_file


def no_key_file(database: Path, key_file: KeyFile) -> MasterKeySource:
    """Lose the key file."""
    key_path(database).unlink()
    return key_file


def foreign_key_file(database: Path, key_file: KeyFile) -> MasterKeySource:
    """Put the key file of another database there."""
    Keyring.create(key_path(database), key_file.read()).add(1)
    return key_file


def older_key_file(database: Path, key_file: KeyFile) -> MasterKeySource:
    """Put an older copy of the key file there."""
    older = key_path(database).read_bytes()
    galleries = opened(database, key_file)
    galleries.create_gallery("later", display_name="")
    galleries.close()
    key_path(database).write_bytes(older)
    return key_file


def key_file_before_renewal(database: Path, key_file: KeyFile) -> MasterKeySource:
    """Put a copy of the key file there that was made before its data keys were renewed."""
    older = key_path(database).read_bytes()
    renew_data_keys(database, key_file)
    wait_until_sealed(database, key_file)
    key_path(database).write_bytes(older)
    return key_file


def key_file_before_an_unfinished_renewal(database: Path, key_file: KeyFile) -> MasterKeySource:
    """Put a copy of the key file there that lacks the key that seals new values, while most have the old one."""
    older = key_path(database).read_bytes()
    renew_data_keys(database, key_file)
    with closing(sqlite3.connect(database)) as connection:
        (sealed_under,) = connection.execute("SELECT sealed_under FROM galleries").fetchone()
    store = SqliteDatabase(database)
    keyring = open_keyring(store, key_file.read())
    store.close()
    assert keyring is not None
    assert encryption_status(database).galleries[0].pending == 3
    assert sealed_under.encode() in older
    key_path(database).write_bytes(older)
    return key_file


@pytest.mark.parametrize(
    ("lose", "said"),
    [
        (no_master_key, "is encrypted: set gallery.encryption_key_file"),
        (another_master_key, "put the missing key back"),
        (no_key_file, "put your copy of it back"),
        (foreign_key_file, "of another database"),
        (older_key_file, "older than the database"),
        (key_file_before_renewal, "older than the database"),
        (key_file_before_an_unfinished_renewal, "older than the database"),
    ],
)
def test_a_database_without_its_keys_is_refused_and_nothing_is_overwritten(
    filled: Path, key_file: KeyFile, lose: Callable[[Path, KeyFile], MasterKeySource | None], said: str
) -> None:
    keys = key_path(filled).read_bytes()
    master_keys = lose(filled, key_file)
    there = key_path(filled).read_bytes() if key_path(filled).exists() else None
    master = key_file.path.read_bytes()
    with pytest.raises(KeysUnusable, match=said):
        opened(filled, master_keys)
    assert (key_path(filled).read_bytes() if key_path(filled).exists() else None) == there
    assert key_file.path.read_bytes() == master
    if master_keys is not None and lose is not another_master_key:
        with pytest.raises(KeysUnusable, match=said):
            encryption_status(filled)
    if lose is no_key_file:
        key_path(filled).write_bytes(keys)
        galleries = opened(filled, master_keys)
        assert people_of(galleries, "g") == expected(range(3))
        galleries.close()


def test_a_half_encrypted_database_is_refused_without_keys_and_finished_with_them(
    database: Path, key_file: KeyFile
) -> None:
    galleries = opened(database)
    fill(galleries, "g", range(3))
    galleries.close()
    cut_off(database, key_file)
    with pytest.raises(KeysUnusable):
        opened(database)
    wait_until_sealed(database, key_file)
    galleries = opened(database, key_file)
    assert people_of(galleries, "g") == expected(range(3))
    galleries.close()


def test_keys_of_a_lost_database_are_kept_for_its_backups(filled: Path, key_file: KeyFile, tmp_path: Path) -> None:
    copy = tmp_path / "monday.db"
    backup(filled, copy)
    for path in filled.parent.glob("facet.db*"):
        if path != key_path(filled):
            path.unlink()
    galleries = opened(filled, key_file)
    fill(galleries, "new", [7])
    galleries.close()
    restore(copy, filled, replace=True)
    galleries = opened(filled, key_file)
    assert people_of(galleries, "g") == expected(range(3))
    galleries.close()


def test_a_deleted_gallery_cannot_be_read_in_a_backup_and_another_one_can(
    filled: Path, key_file: KeyFile, tmp_path: Path
) -> None:
    galleries = opened(filled, key_file)
    fill(galleries, "other", range(10, 13))
    copy = tmp_path / "monday.db"
    backup(filled, copy)
    with closing(sqlite3.connect(copy)) as connection:
        (sealed,) = connection.execute(
            "SELECT embedding FROM templates JOIN subjects ON subjects.key = subject_key WHERE subject_id = 's1'"
        ).fetchone()
        (template_id,) = connection.execute(
            "SELECT template_id FROM templates JOIN subjects ON subjects.key = subject_key WHERE subject_id = 's1'"
        ).fetchone()
    where = place("templates.embedding", "s1", template_id)
    assert open_value(sealed, Keyring(key_path(filled), key_file.read()).keys, where)
    galleries.delete_gallery("g", force=True)
    galleries.close()

    keyring = Keyring(key_path(filled), key_file.read())
    with pytest.raises(CannotOpen):
        open_value(sealed, keyring.keys, where)
    assert verify(copy, keyring).unchecked == ("g",)
    restore(copy, filled, replace=True)
    galleries = opened(filled, key_file)
    with pytest.raises(GalleryNotFound):
        galleries.get_gallery("g")
    assert people_of(galleries, "other") == expected(range(10, 13))
    galleries.close()


def test_an_encrypted_backup_is_not_restored_where_its_key_file_is_missing(
    filled: Path, key_file: KeyFile, tmp_path: Path
) -> None:
    copy, elsewhere = tmp_path / "monday.db", tmp_path / "elsewhere.db"
    backup(filled, copy)
    with pytest.raises(KeysUnusable, match="missing"):
        restore(copy, elsewhere)
    assert not elsewhere.exists()
    key_path(elsewhere).write_bytes(key_path(filled).read_bytes())
    restore(copy, elsewhere)
    galleries = opened(elsewhere, key_file)
    assert people_of(galleries, "g") == expected(range(3))
    galleries.close()


def test_a_backup_from_before_a_renewal_does_not_replace_a_database(
    filled: Path, key_file: KeyFile, tmp_path: Path
) -> None:
    copy = tmp_path / "monday.db"
    backup(filled, copy)
    renew_data_keys(filled, key_file)
    wait_until_sealed(filled, key_file)
    with pytest.raises(KeysUnusable, match="before a renewal"):
        restore(copy, filled, replace=True)
    galleries = opened(filled, key_file)
    assert people_of(galleries, "g") == expected(range(3))
    galleries.close()
