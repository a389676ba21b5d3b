"""The files of a running database that are deleted, replaced, linked or cut off, and files that are no database."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gallery.errors import DatabaseReplaced, StorageUnavailable
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.stores.sqlite.copies import backup
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 4


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def cut_off(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    backup(path, path.with_name("backup"))
    path.write_bytes(path.with_name("backup").read_bytes() + bytes(path.stat().st_size))


def overwrite_with_another_database(path: Path) -> None:
    other = path.with_name("other")
    galleries = opened(other)
    galleries.create_gallery("g", display_name="", threshold=0.9)
    galleries.close()
    path.write_bytes(other.read_bytes().ljust(path.stat().st_size, b"\0"))


def overwrite_with_its_own_past(path: Path) -> None:
    path.write_bytes(path.with_name("past").read_bytes().ljust(path.stat().st_size, b"\0"))


def link(path: Path) -> None:
    path.with_name("second").hardlink_to(path)


def enrollment(axis: int) -> Enrollment:
    return Enrollment(np.eye(DIMENSION, dtype=np.float32)[axis], "c", "p", (0, 0, 9, 9), 1.0)


def opened(path: Path) -> Galleries:
    return Galleries(SqliteStore(path), contract="c", dimension=DIMENSION, max_templates_per_subject=20)


@pytest.mark.parametrize(
    ("suffix", "harm"),
    [
        ("", Path.unlink),
        ("", replace),
        ("", link),
        ("", cut_off),
        ("", overwrite),
        ("", overwrite_with_another_database),
        ("", overwrite_with_its_own_past),
        ("-wal", Path.unlink),
        ("-shm", Path.unlink),
        (".lock", Path.unlink),
    ],
)
def test_nothing_is_stored_once_a_file_is_gone_or_another_one(
    tmp_path: Path, suffix: str, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "facet.db"
    opened(path).close()
    shutil.copy(path, path.with_name("past"))
    galleries = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.9)
    galleries.enroll("g", "ann", enrollment(0))
    galleries.delete_template("g", "ann", galleries.list_templates("g", "ann", page_size=1).items[0].template_id)
    galleries.enroll("g", "ann", enrollment(0))
    galleries.check_store()
    harm(tmp_path / f"facet.db{suffix}")
    with pytest.raises(DatabaseReplaced) as refused:
        galleries.enroll("g", "bob", enrollment(1))
    assert str(path) in str(refused.value)
    assert str(tmp_path) not in refused.value.public_message
    with pytest.raises(DatabaseReplaced):
        galleries.check_store()
    (found,) = galleries.search("g", np.eye(DIMENSION, dtype=np.float32)[1:2], top_k=1)
    assert [each.subject_id for each in found.candidates] == ["ann"], "bob must not be found"
    if harm is link:
        path.with_name("second").unlink()
        galleries.enroll("g", "bob", enrollment(1))
        galleries.check_store()
    galleries.close()


def test_a_change_during_which_the_file_gets_a_second_name_is_stored(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    with store.database.writing() as connection:
        connection.execute("INSERT INTO models (sha256) VALUES ('a')")
        link(tmp_path / "facet.db")
    with pytest.raises(DatabaseReplaced), store.database.writing():
        pass
    store.close()


def test_a_database_with_a_second_name_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    SqliteStore(path).close()
    second = tmp_path / "second.db"
    second.hardlink_to(path)
    for each in (path, second):
        with pytest.raises(StorageUnavailable, match="hard links"):
            SqliteStore(each)
    second.unlink()
    SqliteStore(path).close()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "facet.db"
    make(path)
    with pytest.raises(StorageUnavailable, match=r"not a regular file|Is a directory|cannot be opened"):
        SqliteStore(path)


def test_a_database_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    SqliteStore(path).close()
    path.chmod(0o644)
    store = SqliteStore(path)
    for each in tmp_path.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each.name
    store.close()
