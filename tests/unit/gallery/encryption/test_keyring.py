"""Data keys are wrapped by master keys in a key file, which is never lost and never replaced by a wrong one."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import KeyFile, MasterKeys, new_key
from gallery.encryption.values import CannotOpen
from gallery.errors import KeysUnusable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the key file is."""
    return tmp_path / "facet.sqlite3.keys"


def test_a_keyring_opens_what_it_sealed_before(path: Path, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    uid, other = keyring.add(2)
    cipher = keyring.cipher(uid)
    place = cipher.place("subjects.display_name", "ada")
    sealed = cipher.seal(b"Ada", place)
    assert b"Ada" not in sealed
    assert cipher.seal(b"Ada", place) != sealed

    again = Keyring(path, masters)
    assert again.database == keyring.database
    assert again.cipher(uid).open(sealed, 1, place) == b"Ada"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for wrong in (
        (again.cipher(other), sealed, 1, place),
        (again.cipher(uid), sealed, 2, place),
        (again.cipher(uid), sealed, 1, cipher.place("subjects.display_name", "bob")),
        (again.cipher(uid), sealed[:-1] + bytes((sealed[-1] ^ 1,)), 1, place),
        (again.cipher(uid), sealed[:20], 1, place),
        (again.cipher(uid), b"", 1, place),
    ):
        with pytest.raises(CannotOpen):
            wrong[0].open(*wrong[1:])


def test_destroyed_keys_are_in_no_byte_of_the_key_file(path: Path, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    uid, other = keyring.add(2)
    wrapped = json.loads(path.read_text())["galleries"][uid]["1"]["wrapped"]
    with path.open("rb") as before:
        keyring.destroy(uid)
        assert wrapped.encode() not in before.read()
    assert wrapped not in path.read_text()
    again = Keyring(path, masters)
    assert (again.has(uid), again.was_destroyed(uid)) == (False, True)
    assert (again.has(other), again.was_destroyed(other)) == (True, False)
    with pytest.raises(KeysUnusable):
        again.cipher(uid)


def test_rotation_wraps_all_keys_with_the_new_master_key(path: Path, key_file: KeyFile, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    (uid,) = keyring.add(1)
    place = keyring.cipher(uid).place("templates.embedding", "ada", "1")
    sealed = keyring.cipher(uid).seal(b"values", place)
    old = key_file.path.read_text()
    key_file.path.write_text(new_key() + "\n")
    with pytest.raises(KeysUnusable, match="put the missing key back"):
        keyring.use(key_file.read())
    assert keyring.status().masters == {masters.current.id: 1}

    key_file.path.write_text(key_file.path.read_text() + old)
    rotated = key_file.read()
    assert keyring.use(rotated) == 1
    assert keyring.status().masters == {rotated.current.id: 1}
    key_file.path.write_text(key_file.path.read_text().splitlines()[0])
    assert Keyring(path, key_file.read()).cipher(uid).open(sealed, 1, place) == b"values"
    with pytest.raises(KeysUnusable, match=rotated.current.id):
        Keyring(path, masters)


def test_a_renewed_data_key_seals_and_the_old_one_still_opens(path: Path, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    (uid,) = keyring.add(1)
    place = keyring.cipher(uid).place("templates.embedding", "ada", "1")
    sealed = keyring.cipher(uid).seal(b"values", place)
    keyring.renew([uid])
    assert keyring.cipher(uid).number == 2
    assert keyring.cipher(uid).open(sealed, 1, place) == b"values"
    keyring.retire(uid)
    with pytest.raises(CannotOpen):
        Keyring(path, masters).cipher(uid).open(sealed, 1, place)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"format"', '"formats"'),
        lambda text: text.replace('"1": {', '"0": {'),
        lambda text: text.replace('"wrapped": "', '"wrapped": "AA'),
        lambda text: text.replace('"wrapped": "', '"wrapped": "AAAA'),
    ],
)
def test_a_damaged_key_file_is_refused_and_kept(path: Path, masters: MasterKeys, damage: object) -> None:
    Keyring.create(path, masters).add(1)
    assert callable(damage)
    damaged = damage(path.read_text())
    path.write_text(damaged)
    with pytest.raises(KeysUnusable, match=str(path)):
        Keyring(path, masters)
    assert path.read_text() == damaged


def test_a_deleted_key_file_is_written_again_and_a_replaced_one_is_not(path: Path, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    (uid,) = keyring.add(1)
    contents = path.read_bytes()
    path.unlink()
    keyring.check()
    assert path.read_bytes() == contents
    path.write_bytes(contents + b"\n")
    for change in (keyring.check, lambda: keyring.add(1), lambda: keyring.destroy(uid)):
        with pytest.raises(KeysUnusable, match="was replaced"):
            change()
    assert keyring.has(uid)
    path.unlink()
    keyring.check()
    assert path.read_bytes() == contents
