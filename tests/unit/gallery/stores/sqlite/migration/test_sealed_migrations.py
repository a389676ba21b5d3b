"""What a migration stores is encrypted with the rest of its gallery, and opens at every step."""

from __future__ import annotations

from pathlib import Path

import pytest

from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import KeyFile
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.sealing import resealing
from gallery.stores.sqlite.verify import Verification, verify
from tests.unit.gallery.stores.sqlite.migration.samples import NEW, OLD, Moving, new_vector
from tests.unit.gallery.stores.sqlite.sealing.samples import cut_off, fill, found_in, secrets, wait_until_sealed

PEOPLE = range(20)
NAMES = [f"s{number}" for number in PEOPLE]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a database that does not exist yet, in a folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "facet.db"


def verified(database: Path, key_file: KeyFile) -> Verification:
    found = verify(database, Keyring(database.with_name("facet.db.keys"), key_file.read()))
    assert found.problems == ()
    return found


def all_secrets() -> list[bytes]:
    """Bytes that reveal something about the people, or about the migration."""
    return [*secrets("g", PEOPLE), *(new_vector(number).tobytes()[:32] for number in PEOPLE), b"new-model"]


def begin(database: Path, key_file: KeyFile | None, most: int = 1000) -> Moving:
    made = Moving(database, key_file)
    fill(made.galleries, "g", PEOPLE)
    made.migrations.start("g", "new-model")
    made.embed("g", most)
    return made


def check(database: Path, key_file: KeyFile) -> None:
    """Check that both models find everybody, and that nobody is found in a file."""
    moving = Moving(database, key_file)
    for contract in (OLD.contract, NEW.contract):
        assert moving.found("g", PEOPLE, contract) == NAMES
    moving.close()
    assert not found_in(database.parent, all_secrets())


def test_a_migration_of_an_encrypted_gallery_is_encrypted_at_every_step(database: Path, key_file: KeyFile) -> None:
    moving = begin(database, key_file)
    assert not found_in(database.parent, all_secrets())
    assert verified(database, key_file).galleries[0].other_embeddings[0].count == len(PEOPLE)
    # Without a key, only the structure is checked.
    assert (verify(database).problems, verify(database).unchecked) == ((), ("g",))
    moving.migrations.switch("g", allow_default_threshold=True)
    moving.migrations.finish("g")
    moving.migrations.drop("g", limit=7)
    verified(database, key_file)
    moving.drop("g")
    assert moving.found("g", PEOPLE, NEW.contract) == NAMES
    moving.close()
    assert verified(database, key_file).galleries[0].other_embeddings == ()
    assert not found_in(database.parent, all_secrets())


def test_a_plain_database_is_encrypted_in_the_middle_of_a_migration(
    database: Path, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "ROWS_PER_TRANSACTION", 3)
    begin(database, None, most=10).close()
    assert found_in(database.parent, [new_vector(0).tobytes()[:32]])
    keyring, uid = cut_off(database, key_file)
    stored = SqliteDatabase(database)
    # Requests, subjects, and some of the templates.
    for _ in zip(range(17), resealing.Resealing(stored, keyring, 1, uid).run(), strict=False):
        pass
    stored.close()
    verified(database, key_file)
    moving = Moving(database, key_file)
    moving.embed("g")  # of templates that are sealed, and of some that are not yet
    moving.close()
    wait_until_sealed(database, key_file)
    verified(database, key_file)
    check(database, key_file)


def test_data_keys_are_renewed_in_the_middle_of_a_migration(database: Path, key_file: KeyFile) -> None:
    begin(database, key_file, most=10).close()
    keyring = Keyring(database.with_name("facet.db.keys"), key_file.read())
    old = set(keyring.keys)
    keyring.renew()
    moving = Moving(database, key_file)
    moving.embed("g")  # while the thread renews
    moving.close()
    wait_until_sealed(database, key_file)
    assert old.isdisjoint(Keyring(keyring.path, key_file.read()).keys)
    verified(database, key_file)
    check(database, key_file)


@pytest.mark.parametrize("is_plain", [False, True], ids=["encrypted", "encrypted later"])
def test_a_template_that_moves_takes_both_embeddings_along(
    database: Path, key_file: KeyFile, *, is_plain: bool
) -> None:
    moving = begin(database, None if is_plain else key_file)
    made = moving.galleries.corrections.merge("g", "s0", "s1").change
    moving.close()
    if is_plain:
        wait_until_sealed(database, key_file)
    verified(database, key_file)
    moving = Moving(database, key_file)
    for contract in (OLD.contract, NEW.contract):
        assert moving.found("g", [0, 1], contract) == ["s1", "s1"]
    moving.galleries.corrections.undo("g", made.change_id)
    moving.close()
    verified(database, key_file)
    check(database, key_file)


def test_a_second_embedding_that_does_not_open_is_damage(database: Path, key_file: KeyFile) -> None:
    begin(database, key_file).close()
    stored = SqliteDatabase(database)
    with stored.writing() as connection:
        connection.execute(
            "UPDATE second_embeddings SET embedding = "
            "(SELECT embedding FROM second_embeddings WHERE template_key = 2) WHERE template_key = 1"
        )
    stored.close()
    found = verify(database, Keyring(database.with_name("facet.db.keys"), key_file.read()))
    assert len(found.problems) == 1
