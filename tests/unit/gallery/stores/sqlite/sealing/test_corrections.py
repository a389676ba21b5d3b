"""What undoes a merge is encrypted as the merged person was, also if the database was plain when it was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from gallery.encryption.master_keys import KeyFile
from tests.unit.gallery.stores.sqlite.sealing.samples import (
    expected,
    fill,
    found_in,
    opened,
    people_of,
    secrets,
    wait_until_sealed,
)

PEOPLE = range(3)


@pytest.mark.parametrize("is_plain", [False, True], ids=["encrypted", "encrypted later"])
def test_a_merge_is_sealed_and_undone(database: Path, key_file: KeyFile, *, is_plain: bool) -> None:
    galleries = opened(database, None if is_plain else key_file)
    fill(galleries, "g", PEOPLE)
    made = galleries.corrections.merge("g", "s0", "s1").change
    galleries.close()
    if is_plain:
        assert found_in(database.parent, secrets("g", [0]))
        wait_until_sealed(database, key_file)
    assert not found_in(database.parent, secrets("g", PEOPLE))
    galleries = opened(database, key_file)
    assert galleries.get_subject("g", "s1").template_count == 2
    galleries.corrections.undo("g", made.change_id)
    assert people_of(galleries, "g") == expected(PEOPLE)
    galleries.close()
    assert not found_in(database.parent, secrets("g", PEOPLE))
