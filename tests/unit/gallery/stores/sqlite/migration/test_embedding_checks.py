"""Verification of databases with galleries that are, or were, migrated to another embedding model."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gallery.stores.sqlite.copies import backup, compact, restore
from gallery.stores.sqlite.migration.embedding_checks import StoredEmbeddings
from gallery.stores.sqlite.schema import FIRST_WITH_CONTRACTS, MIGRATIONS
from gallery.stores.sqlite.verify import verify
from tests.unit.gallery.stores.sqlite.migration.samples import NEW, OLD, Moving
from tests.unit.gallery.stores.sqlite.sealing.samples import fill

PEOPLE = range(6)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a gallery that is being migrated; four of six people have embeddings of both models."""
    path = tmp_path / "facet.db"
    made = Moving(path)
    fill(made.galleries, "g", PEOPLE)
    made.migrations.start("g", "new-model")
    made.embed("g", most=4)
    made.migrations.update("g", threshold=0.5)
    made.close()
    return path


def embeddings(path: Path) -> list[StoredEmbeddings]:
    """What a sound database has of its only gallery, by contract."""
    found = verify(path)
    assert found.problems == ()
    (gallery,) = found.galleries
    assert gallery.templates == len(PEOPLE)
    return [StoredEmbeddings(gallery.contract, gallery.dimension, -1), *gallery.other_embeddings]


def test_a_database_is_sound_at_every_step_of_a_migration(database: Path) -> None:
    old = StoredEmbeddings(OLD.contract, OLD.dimension, -1)
    new = StoredEmbeddings(NEW.contract, NEW.dimension, -1)
    assert embeddings(database) == [old, StoredEmbeddings(NEW.contract, NEW.dimension, 4)]
    moving = Moving(database)
    moving.embed("g")
    moving.migrations.switch("g")
    assert embeddings(database) == [new, StoredEmbeddings(OLD.contract, OLD.dimension, 6)]
    moving.migrations.finish("g")
    moving.migrations.drop("g", limit=2)
    # The first two rows have the new embedding in place of the old one: the column has embeddings of two lengths.
    assert embeddings(database) == [new, StoredEmbeddings(OLD.contract, OLD.dimension, 4)]
    moving.drop("g")
    assert embeddings(database) == [new]
    moving.migrations.start("g", "old-model")
    moving.embed("g", 3, OLD.contract)
    assert embeddings(database) == [new, StoredEmbeddings(OLD.contract, OLD.dimension, 3)]
    moving.migrations.cancel("g")
    moving.drop("g")
    moving.close()
    assert embeddings(database) == [new]


def test_the_contracts_came_with_the_version_that_is_named() -> None:
    assert "CREATE TABLE contracts" in MIGRATIONS[FIRST_WITH_CONTRACTS - 1][0]


TWICE = """
    UPDATE second_embeddings SET contract_key = NULL, embedding = (SELECT embedding FROM templates WHERE key = 2)
    WHERE template_key = 2
"""


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE second_embeddings SET embedding = zeroblob(64) WHERE template_key = 2", "not of unit length"),
        ("UPDATE second_embeddings SET embedding = substr(embedding, 1, 8) WHERE template_key = 2", "differ in length"),
        ("UPDATE second_embeddings SET embedding = x'0000803f'", "new-model do not have 16 values"),
        (TWICE, "two embeddings of one contract"),
        ("UPDATE second_embeddings SET contract_key = 9 WHERE template_key = 2", "a missing row of contracts"),
        ("UPDATE contracts SET contract = 'third'", "'third', which is none of the gallery"),
        ("UPDATE galleries SET migration = ''", "'new-contract', which is none of the gallery"),
        ("UPDATE galleries SET migration = substr(migration, 5)", "a migration is not as it was written"),
        ("UPDATE galleries SET contract = 'third'", "its contract is none of its migration"),
    ],
)
def test_damage_is_reported(database: Path, statement: str, named: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(statement)
    assert named in " ".join(verify(database).problems)


def test_a_backup_of_a_migration_goes_on_where_it_stood(database: Path, tmp_path: Path) -> None:
    assert backup(database, tmp_path / "monday.db").problems == ()
    moving = Moving(database)
    expected = moving.galleries.get_gallery("g")
    moving.migrations.cancel("g")
    moving.drop("g")
    moving.close()
    restore(tmp_path / "monday.db", database, replace=True)
    compact(database)
    moving = Moving(database)
    assert moving.galleries.get_gallery("g") == expected
    assert moving.found("g", PEOPLE, OLD.contract) == [f"s{number}" for number in PEOPLE]
    assert moving.found("g", PEOPLE[:4], NEW.contract) == ["s0", "s1", "s2", "s3"]
    moving.embed("g")
    assert moving.migrations.switch("g").contract == NEW.contract
    moving.close()
    assert verify(database).problems == ()
