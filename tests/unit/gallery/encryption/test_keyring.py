"""Data keys are wrapped by master keys in a key file, which is never lost and never replaced by a wrong one."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from gallery.encryption.key_file import key_path
from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import KeyFile, MasterKeys, new_key
from gallery.encryption.values import CannotOpen, key_id_of, open_text, open_value, place
from gallery.errors import KeysUnusable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the key file is."""
    return tmp_path / "facet.sqlite3.keys"


def test_a_keyring_opens_what_it_sealed_before(path: Path, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    uid, other = keyring.add(2)
    where = place("subjects.display_name", "ada")
    sealed = keyring.newest(uid).seal(b"Ada", where)
    assert b"Ada" not in sealed
    assert keyring.newest(uid).seal(b"Ada", where) != sealed
    text = keyring.newest(uid).seal_text("Ada ☕", where)

    again = Keyring(path, masters)
    assert again.database == keyring.database
    assert open_value(sealed, again.keys, where) == b"Ada"
    assert open_text(text, again.keys, where) == "Ada ☕"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    only_other = {key_id: key for key_id, key in again.keys.items() if key is again.newest(other)}
    for value, keys, there in (
        (sealed, only_other, where),
        (sealed, again.keys, place("subjects.display_name", "bob")),
        (sealed[:-1] + bytes((sealed[-1] ^ 1,)), again.keys, where),
        (b"\2" + sealed[1:], again.keys, where),
        (sealed[:20], again.keys, where),
        (b"", again.keys, where),
    ):
        with pytest.raises(CannotOpen):
            open_value(value, keys, there)
    for wrong in (text[:-4], text[:-1], text + "?", text[:1]):
        with pytest.raises(CannotOpen):
            open_text(wrong, again.keys, where)


def test_destroyed_keys_are_in_no_byte_of_the_key_file(path: Path, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    uid, other = keyring.add(2)
    wrapped = json.loads(path.read_text())["galleries"][uid][0]["wrapped"]
    with path.open("rb") as before:
        keyring.destroy(uid)
        assert wrapped.encode() not in before.read()
    assert wrapped not in path.read_text()
    again = Keyring(path, masters)
    assert (again.has(uid), again.was_destroyed(uid)) == (False, True)
    assert (again.has(other), again.was_destroyed(other)) == (True, False)
    with pytest.raises(KeysUnusable):
        again.newest(uid)


def test_rotation_wraps_all_keys_with_the_new_master_key(path: Path, key_file: KeyFile, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    (uid,) = keyring.add(1)
    where = place("templates.embedding", "ada", "1")
    sealed = keyring.newest(uid).seal(b"values", where)
    old = key_file.path.read_text()
    key_file.path.write_text(new_key() + "\n")
    with pytest.raises(KeysUnusable, match="put the missing key back"):
        keyring.use(key_file.read())
    assert masters.current.id in path.read_text()

    key_file.path.write_text(key_file.path.read_text() + old)
    rotated = key_file.read()
    assert keyring.use(rotated) == 1
    assert masters.current.id not in path.read_text()
    key_file.path.write_text(key_file.path.read_text().splitlines()[0])
    assert open_value(sealed, Keyring(path, key_file.read()).keys, where) == b"values"
    with pytest.raises(KeysUnusable, match=rotated.current.id):
        Keyring(path, masters)


def test_a_renewed_data_key_seals_and_the_old_one_still_opens(path: Path, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    (uid,) = keyring.add(1)
    where = place("templates.embedding", "ada", "1")
    sealed = keyring.newest(uid).seal(b"values", where)
    assert keyring.renew() == 1
    assert keyring.newest(uid).key_id != key_id_of(sealed)
    assert open_value(sealed, keyring.keys, where) == b"values"
    keyring.retire(uid)
    with pytest.raises(CannotOpen):
        open_value(sealed, Keyring(path, masters).keys, where)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"format"', '"formats"'),
        lambda text: text.replace('"id": "', '"id": "0'),
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


def test_a_key_file_behind_a_link_is_replaced_where_it_is(tmp_path: Path, masters: MasterKeys) -> None:
    database, elsewhere = tmp_path / "facet.sqlite3", tmp_path / "keys"
    key_path(database).symlink_to(elsewhere)
    keyring = Keyring.create(key_path(database), masters)
    (uid,) = keyring.add(1)
    wrapped = json.loads(elsewhere.read_text())["galleries"][uid][0]["wrapped"]
    keyring.destroy(uid)
    assert wrapped not in elsewhere.read_text()
    assert (tmp_path / "facet.sqlite3.keys").is_symlink()


def test_what_an_interrupted_write_left_is_gone_after_the_next_one(path: Path, masters: MasterKeys) -> None:
    keyring = Keyring.create(path, masters)
    (uid,) = keyring.add(1)
    left = path.with_name(f".{path.name}.part")
    left.write_bytes(path.read_bytes())
    with left.open("rb") as opened:
        keyring.destroy(uid)
        assert not opened.read().strip(b"\0")
    assert [each.name for each in path.parent.iterdir() if "keys" in each.name] == [path.name]
