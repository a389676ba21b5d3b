"""The file with the callers: what it may hold, and what survives several writers."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from facet.server.access.callers import callers_file
from facet.server.access.callers.callers_file import CallersFileError, changing, read
from tests.unit.server.access.entries import LATER, entry

SECRET_HASH = "5ec12e7" + "0" * 57
KEY: dict[str, Any] = {
    "id": "cam",
    "kind": "key",
    "sha256": SECRET_HASH,
    "scopes": ["recognize"],
    "galleries": ["lobby", "site-a-*"],
    "created": "2026-01-01T00:00:00Z",
}


def written(path: Path, *callers: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"version": 1, "callers": list(callers)}), "utf-8")
    path.chmod(0o600)
    return path


def test_callers_are_read_as_they_were_written_by_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "facet.callers.json"
    made = entry(label="Lobby camera", expires=LATER, calls_per_second=2.5, concurrent_calls=3)
    with changing(path) as callers:
        callers.append(made)
    assert read(path).callers == [made]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.stat().st_mode & 0o077] == []


def test_a_file_that_was_linked_to_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    real = written(tmp_path / "secrets" / "callers.json", KEY)
    link = tmp_path / "facet.callers.json"
    link.symlink_to(real)
    with changing(link) as callers:
        callers.append(entry("two", "another"))
    assert link.is_symlink()
    assert [each.id for each in read(real).callers] == ["cam", "two"]


def test_nothing_is_written_that_cannot_be_read_nor_after_a_failure(tmp_path: Path) -> None:
    path = written(tmp_path / "callers.json", KEY)
    before = path.read_bytes()
    with (
        pytest.raises(CallersFileError, match="callers one and two have the same credentials"),
        changing(path) as callers,
    ):
        callers.extend([entry("one"), entry("two")])
    with suppress(KeyboardInterrupt), changing(path) as callers:
        callers.clear()
        raise KeyboardInterrupt
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"scopes": ["root"]},
            r"caller 1 \(cam\): scopes.0: Input should be 'recognize', 'enroll', 'admin' or 'audit'",
        ),
        ({"scopes": "admin"}, r"caller 1 \(cam\): scopes"),
        ({"galleries": ["Lobby"]}, r"caller 1 \(cam\): galleries.0: must be a gallery's id, a prefix"),
        ({"galleries": ["*lobby"]}, r"galleries.0"),
        ({"galleries": ["site-**"]}, r"galleries.0"),
        ({"galleries": [""]}, r"galleries.0"),
        ({"sha256": SECRET_HASH[:-1]}, r"caller 1 \(cam\): sha256"),
        ({"sha256": None}, r"caller 1 \(cam\): a caller of kind key needs sha256"),
        ({"certificate": "a.example"}, r"a caller of kind key has no certificate"),
        ({"kind": "certificate"}, r"caller 1 \(cam\)"),
        ({"kind": "password"}, r"caller 1 \(cam\): kind"),
        ({"id": "Cam_1"}, r"caller 1 \(Cam_1\): id"),
        ({"id": None}, r"caller 1: id"),
        ({"label": "two\nlines"}, r"caller 1 \(cam\): label"),
        ({"expires": "tomorrow"}, r"caller 1 \(cam\): expires"),
        ({"expires": "2026-01-01T00:00:00"}, r"caller 1 \(cam\): expires: .*timezone"),
        ({"expires": "9999-12-31T23:59:59-01:00"}, r"caller 1 \(cam\): expires: must be in the years 1 to 9999"),
        ({"calls_per_second": 0}, r"caller 1 \(cam\): calls_per_second"),
        ({"calls_per_second": float("nan")}, r"caller 1"),
        ({"concurrent_calls": 1.5}, r"caller 1 \(cam\): concurrent_calls"),
        ({"scope": "admin"}, r"caller 1 \(cam\): scope: Extra"),
    ],
)
def test_a_caller_that_is_wrong_is_named_without_its_secret(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    path = written(tmp_path / "callers.json", KEY | change)
    with pytest.raises(CallersFileError, match=problem) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert SECRET_HASH[:-1] not in str(refused.value)


def test_two_callers_cannot_be_the_same(tmp_path: Path) -> None:
    other = KEY | {"sha256": "1" * 64}
    with pytest.raises(CallersFileError, match="two callers have the id cam"):
        read(written(tmp_path / "callers.json", KEY, other))
    with pytest.raises(CallersFileError, match="the callers cam and two have the same credentials"):
        read(written(tmp_path / "callers.json", KEY, KEY | {"id": "two"}))
    read(written(tmp_path / "callers.json", KEY | {"revoked": "2026-02-01T00:00:00Z"}, KEY | {"id": "two"}))


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"version": 2}', b"[" * 100_000])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "callers.json"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(CallersFileError, match=r"callers\.json"):
        read(path)


def test_a_file_that_others_could_change_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "callers.json", KEY)
    path.chmod(0o620)
    with pytest.raises(CallersFileError, match=r"chmod 600"):
        read(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(CallersFileError, match="is not a file"):
        read(tmp_path / "pipe")
    with pytest.raises(CallersFileError):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.json")


def test_a_lock_that_is_a_link_is_not_followed_and_is_named(tmp_path: Path) -> None:
    lock, victim = tmp_path / ".callers.json.lock", tmp_path / "victim"
    lock.symlink_to(victim)
    with pytest.raises(CallersFileError, match=re.escape(str(lock))), changing(tmp_path / "callers.json"):
        pass
    assert not victim.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_in_the_folder_of_another_user_belongs_to_that_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1234)
    with changing(tmp_path / "callers.json") as callers:
        callers.append(entry())
    assert {each.name: each.stat().st_uid for each in tmp_path.iterdir()} == {
        "callers.json": 1234,
        ".callers.json.lock": 1234,
    }


def add(path: Path, number: int) -> None:
    with changing(path) as callers:
        callers.append(entry(f"caller-{number}", str(number)))


def test_writers_at_the_same_time_lose_no_caller(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    writers = 8
    with ThreadPoolExecutor(writers) as pool:  # the lock belongs to an open file, so threads exclude each other, too
        list(pool.map(partial(add, path), range(4 * writers)))
    assert {each.id for each in read(path).callers} == {f"caller-{number}" for number in range(4 * writers)}
    assert callers_file.read(path).version == 1
