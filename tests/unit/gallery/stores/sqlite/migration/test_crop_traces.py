"""Crops that a migration deletes at its end leave no byte in the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gallery.encryption.master_keys import KeyFile
from tests.unit.gallery.stores.sqlite.migration.samples import Moving
from tests.unit.gallery.stores.sqlite.sealing.samples import fill, found_in

PEOPLE = range(30)
PIECE = 32


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_deleted_crops_are_in_no_byte_of_the_files(tmp_path: Path, key_file: KeyFile, *, is_encrypted: bool) -> None:
    moving = Moving(tmp_path / "facet.db", key_file if is_encrypted else None)
    fill(moving.galleries, "g", PEOPLE)
    crops = [bytes(png) for (png,) in moving.store.database.connection.execute("SELECT png FROM crops")]
    assert len(crops) == len(PEOPLE)
    # As they are stored: sealed ones, too, must not stay.
    pieces = {crop[place : place + PIECE] for crop in crops for place in range(0, len(crop) - PIECE, PIECE)}
    assert {piece for _, piece in found_in(tmp_path, pieces)}
    moving.migrations.start("g", "new-model")
    moving.embed("g")
    moving.migrations.switch("g", allow_default_threshold=True)
    moving.migrations.finish("g", delete_crops=True)
    moving.drop("g")
    assert not found_in(tmp_path, pieces), "while the database is open"
    assert moving.found("g", PEOPLE, "new-contract") == [f"s{number}" for number in PEOPLE]
    moving.close()
    assert not found_in(tmp_path, pieces)
