"""An encrypted database reveals nobody in any file, and answers as a plain one does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import KeyFile, new_key
from gallery.errors import DatabaseDamaged
from gallery.stores.sqlite.copies import backup, compact
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.sealing import resealing
from gallery.stores.sqlite.sealing.progress import encryption_status
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify
from tests.unit.gallery.stores.sqlite.sealing.samples import (
    CROP,
    Recorded,
    cut_off,
    expected,
    fill,
    found_in,
    opened,
    people_of,
    secrets,
    wait_until_sealed,
)
from tests.waiting import until

PEOPLE = range(40)


def test_nobody_is_found_in_any_file(database: Path, key_file: KeyFile) -> None:
    galleries = opened(database, key_file)
    fill(galleries, "g", PEOPLE)
    assert not found_in(database.parent, secrets("g", PEOPLE))
    galleries.close()
    assert not found_in(database.parent, secrets("g", PEOPLE))
    assert {oct(path.stat().st_mode & 0o777) for path in database.parent.iterdir()} == {"0o600"}

    galleries = opened(database, key_file)
    assert people_of(galleries, "g") == expected(PEOPLE)
    assert galleries.get_gallery("g").display_name == "Visitors of g"
    galleries.close()
    store = SqliteStore(database, master_keys=key_file)
    assert {each.crop for each in store.faces("g", after=("", ""), limit=100)} == {CROP}
    store.close()


def test_a_plain_database_becomes_encrypted_and_can_be_used_meanwhile(database: Path, key_file: KeyFile) -> None:
    galleries = opened(database)
    fill(galleries, "g", PEOPLE)
    fill(galleries, "h", [100])
    galleries.close()
    assert len(found_in(database.parent, secrets("g", PEOPLE))) > len(PEOPLE)

    galleries = opened(database, key_file)
    fill(galleries, "i", [200])
    assert people_of(galleries, "g") == expected(PEOPLE)
    galleries.close()
    wait_until_sealed(database, key_file)
    everybody = [*secrets("g", PEOPLE), *secrets("h", [100]), *secrets("i", [200])]
    assert not found_in(database.parent, everybody)
    galleries = opened(database, key_file)
    assert people_of(galleries, "g") == expected(PEOPLE)
    assert people_of(galleries, "h") == expected([100])
    galleries.close()
    assert not verify(database, Keyring(database.with_name("facet.db.keys"), key_file.read())).problems


def test_searches_know_names_that_are_sealed_before_their_templates(
    database: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries = opened(database)
    fill(galleries, "g", PEOPLE)
    galleries.close()
    monkeypatch.setattr(resealing, "_TEMPLATES", resealing._TEMPLATES.replace("WHERE", "WHERE FALSE AND"))
    wait_until_sealed(database, key_file)
    galleries = opened(database, key_file)
    assert people_of(galleries, "g") == expected(PEOPLE)
    galleries.close()


def test_encryption_that_was_cut_off_anywhere_goes_on(
    database: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "ROWS_PER_TRANSACTION", 7)
    galleries = opened(database)
    fill(galleries, "g", PEOPLE)
    galleries.close()
    keyring, uid = cut_off(database, key_file)
    stored = SqliteDatabase(database)
    for _ in zip(range(15), resealing.Resealing(stored, keyring, 1, uid).run(), strict=False):
        pass
    stored.close()
    found = encryption_status(database)
    assert not found.is_complete
    assert 0 < found.galleries[0].pending < len(PEOPLE)
    assert not verify(database, keyring).problems
    wait_until_sealed(database, key_file)
    assert encryption_status(database).is_complete
    assert not found_in(database.parent, secrets("g", PEOPLE))
    galleries = opened(database, key_file)
    assert people_of(galleries, "g") == expected(PEOPLE)
    galleries.close()


def test_copies_of_an_encrypted_database_reveal_nobody(database: Path, key_file: KeyFile, tmp_path: Path) -> None:
    galleries = opened(database, key_file)
    fill(galleries, "g", PEOPLE)
    galleries.close()
    copies = tmp_path / "copies"
    copies.mkdir()
    found = backup(database, copies / "monday.db")
    assert (found.encrypted, found.unchecked, found.problems) == (1, ("g",), ())
    keyring = Keyring(database.with_name("facet.db.keys"), key_file.read())
    assert backup(database, copies / "tuesday.db", keyring=keyring).unchecked == ()
    compact(database, key_file)
    for folder in (copies, database.parent):
        assert not found_in(folder, secrets("g", PEOPLE))


def test_the_master_key_is_rotated_while_the_database_is_open(database: Path, key_file: KeyFile) -> None:
    galleries = opened(database, key_file)
    fill(galleries, "g", [1])
    galleries.close()
    log = Recorded()
    store = SqliteStore(database, master_keys=key_file, log=log)
    first = key_file.path.read_text()
    key_file.path.write_text(new_key())
    until(lambda: any("stay in use" in event for event, _ in log.events))
    second = new_key()
    key_file.path.write_text(f"{second}\n{first}\n")
    until(lambda: any(event == "master keys" for event, _ in log.events))
    store.close()
    assert first not in str(log.events)
    assert ("master keys", {"current": key_file.read().current.id, "data_keys_wrapped": 1}) in log.events
    key_file.path.write_text(second)
    SqliteStore(database, master_keys=key_file).close()


def test_data_keys_are_renewed_in_the_background(database: Path, key_file: KeyFile) -> None:
    galleries = opened(database, key_file)
    fill(galleries, "g", PEOPLE)
    galleries.close()
    keyring = Keyring(database.with_name("facet.db.keys"), key_file.read())
    old = set(keyring.keys)
    assert keyring.renew() == 1
    wait_until_sealed(database, key_file)
    assert old.isdisjoint(Keyring(keyring.path, key_file.read()).keys)
    galleries = opened(database, key_file)
    assert people_of(galleries, "g") == expected(PEOPLE)
    galleries.close()


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE templates SET embedding = (SELECT embedding FROM templates WHERE key = 2) WHERE key = 1""",
        """UPDATE templates SET subject_key = 2 WHERE subject_key = 1""",
        """UPDATE subjects SET display_name = (SELECT display_name FROM subjects WHERE key = 2) WHERE key = 1""",
    ],
)
def test_values_that_were_moved_to_another_person_are_damage(database: Path, key_file: KeyFile, statement: str) -> None:
    galleries = opened(database, key_file)
    fill(galleries, "g", range(3))
    galleries.close()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(DatabaseDamaged, match="cannot be decrypted"):
        opened(database, key_file)
    keyring = Keyring(database.with_name("facet.db.keys"), key_file.read())
    assert "cannot be decrypted" in str(verify(database, keyring).problems)
