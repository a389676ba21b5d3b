"""Backups that are encrypted by age: no byte of them is readable, and what is left of the way there is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gallery.encryption import age
from gallery.encryption.age import AgeError
from gallery.errors import StorageError
from gallery.stores.sqlite.copies import backup, restore
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import axis, best_match, face, opened


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with one person."""
    path = tmp_path / "facet.db"
    galleries = opened(path)
    galleries.create_gallery("g", display_name="Guests", threshold=0.5)
    galleries.enroll("g", "ada", face(axis(0), name="Ada Lovelace"), validate_only=False)
    galleries.close()
    return path


def test_an_encrypted_backup_is_restored_with_its_identity_only(database: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy, restored = elsewhere / "monday.age", elsewhere / "facet.db"
    secret, public = age.new_identity()
    (tmp_path / "identity.txt").write_text(secret)
    identities = age.identities_of(tmp_path / "identity.txt")
    assert not backup(database, copy, recipients=age.recipients_of([public])).problems
    assert {path.name for path in elsewhere.iterdir()} == {"monday.age"}
    assert not database.with_name("facet.db.partial").exists()
    for secret_bytes in (b"Ada Lovelace", axis(0).tobytes(), b"SQLite format"):
        assert secret_bytes not in copy.read_bytes()

    with pytest.raises(AgeError):
        restore(copy, restored)
    cut = elsewhere / "cut.age"
    cut.write_bytes(copy.read_bytes()[:-40])
    with pytest.raises(AgeError, match="cut off"):
        restore(cut, restored, identities=identities)
    assert not restored.exists()
    restore(copy, restored, identities=identities)
    galleries = opened(restored)
    assert best_match(galleries, axis(0)) == "ada"
    galleries.close()


def test_what_is_encrypted_and_no_database_is_not_restored(tmp_path: Path) -> None:
    secret, public = age.new_identity()
    (tmp_path / "identity.txt").write_text(secret)
    with (tmp_path / "poem.age").open("wb") as file:
        age.encrypt([b"roses are red"], file, age.recipients_of([public]))
    with pytest.raises(StorageError):
        restore(tmp_path / "poem.age", tmp_path / "facet.db", identities=age.identities_of(tmp_path / "identity.txt"))
    assert not (tmp_path / "facet.db").exists()


def test_an_unfinished_copy_is_removed_when_the_database_is_opened(database: Path) -> None:
    left = database.with_name("facet.db.partial")
    left.write_bytes(database.read_bytes())
    SqliteStore(database).close()
    assert not left.exists()
