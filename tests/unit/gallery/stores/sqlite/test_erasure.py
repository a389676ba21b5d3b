"""Deleted people leave nothing in the bytes of the files, also where SQLite moved their rows around before."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject, renaming
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite import copies
from gallery.stores.sqlite.erasure.page_gaps import gap_of, page_size_of
from gallery.stores.sqlite.erasure.swept_mark import read_mark, write_mark
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.file.files import connect
from gallery.stores.sqlite.inserts import face_rows, insert_gallery
from gallery.stores.sqlite.sealing.sealed_values import Sealer
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 4
NOW = datetime(2024, 1, 1, tzinfo=UTC)
CHANCE_LENGTHS = 100


def tag(number: int) -> str:
    """Return a text that is nowhere else."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:24]


def vector(number: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    values = np.random.default_rng(number).normal(size=DIMENSION)
    return np.asarray(values / np.linalg.norm(values), np.float32)


def faces(numbers: range, chance: random.Random) -> list[StoredFace]:
    """Make subjects with ids and names of random lengths and in random order, which SQLite has to move around."""
    found = []
    for number in numbers:
        subject_id = tag(number) + "x" * chance.randrange(CHANCE_LENGTHS)
        subject = Subject("g", subject_id, tag(number) + "y" * chance.randrange(CHANCE_LENGTHS), 0, NOW, NOW, "e")
        template = Template(f"t{number}", "g", subject_id, "p", (0, 0, 9, 9), 1.0, NOW)
        found.append(StoredFace(subject, template, vector(number), None))
    return found


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def left_of(subject_ids: set[str], folder: Path) -> list[str]:
    """Return those of some subjects whose ids can be read in the files of a folder, at least their beginning."""
    found = everything_in(folder)
    return [each for each in sorted(subject_ids) if each[:24].encode() in found]


def filled_gaps(path: Path) -> list[int]:
    """Return the pages of a database with something in their gap."""
    data = path.read_bytes()
    size = page_size_of(data)
    found = []
    for number in range(1, len(data) // size + 1):
        page = data[(number - 1) * size : number * size]
        begin, end = gap_of(page, number)
        if any(page[begin:end]):
            found.append(number)
    return found


def with_copies_in_gaps(path: Path) -> tuple[set[str], set[str]]:
    """Write a database in which deleted people can be read; return the subjects in it, and those that are deleted."""
    for seed in range(3, 40):
        there, gone = unswept(path, random.Random(seed))
        if left_of(gone, path.parent):
            return there, gone
        path.unlink()
    raise AssertionError("this SQLite leaves no copies of rows")


def unswept(path: Path, chance: random.Random) -> tuple[set[str], set[str]]:
    """Write a database as versions before the sweeping did."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = connect(path)
    key = insert_gallery(connection, Gallery("g", "", 0.99, 1, "c", 0, 0, NOW, NOW, "e"), Sealer())
    there: list[str] = []
    gone: set[str] = set()
    connection.execute("BEGIN")
    for face in faces(range(1500), chance):
        face_rows(key, [face], Sealer()).insert(connection)
        there.append(face.subject.subject_id)
        if len(there) > 200:
            deleted = there.pop(chance.randrange(len(there)))
            connection.execute("DELETE FROM subjects WHERE subject_id = ?", (deleted,))
            gone.add(deleted)
    connection.execute("COMMIT")
    connection.execute("UPDATE galleries SET subject_count = ?1, template_count = ?1", (len(there),))
    connection.close()
    return set(there), gone


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of synced writes take a disk a minute."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_random_enrolments_renamings_and_deletions_leave_no_trace(quick_folder: Path) -> None:
    chance = random.Random(1)
    store = SqliteStore(quick_folder / "facet.db")
    galleries = Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20)
    galleries.create_gallery("g", display_name="", threshold=1.0)
    alive: dict[int, str] = {}
    gone: set[str] = set()
    left: set[str] = set()
    for number in range(700):
        (face,) = faces(range(number, number + 1), chance)
        subject = face.subject
        enrollment = Enrollment(
            vector(number), "c", "p", (0, 0, 9, 9), 1.0, subject.display_name, tag(number + 10_000), "d", True
        )
        galleries.enroll("g", subject.subject_id, enrollment)
        alive[number] = subject.subject_id
        if number < 150:
            continue
        which = chance.choice(sorted(alive))
        if number % 5:
            galleries.delete_subject("g", alive.pop(which))
            gone |= {tag(which), tag(which + 10_000)}
        else:
            name = tag(which + 20_000 + number) + "z" * chance.randrange(CHANCE_LENGTHS)
            galleries.update_subject("g", alive[which], renaming(name))
            galleries.update_subject("g", alive[which], renaming(""))
            gone.add(tag(which + 20_000 + number))
        if number % 10 == 0:
            found = everything_in(quick_folder)
            left |= {each for each in gone if each.encode() in found}
    assert len(gone) > 900
    assert not left
    listed = {subject.subject_id for subject in galleries.list_subjects("g", page_size=1000).items}
    assert listed == set(alive.values())
    assert store.database.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    galleries.close()
    assert filled_gaps(quick_folder / "facet.db") == []


def test_a_database_of_an_earlier_version_is_swept_by_the_first_deletion(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    there, gone_before = with_copies_in_gaps(path)
    store = SqliteStore(path)
    galleries = Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20)
    gone = min(there)
    galleries.delete_subject("g", gone)
    assert filled_gaps(path) == []
    assert not left_of(gone_before | {gone}, tmp_path)
    assert {each.subject_id for each in store.subjects("g", after="", limit=1000)} == there - {gone}
    assert store.database.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    galleries.close()


def test_pages_that_a_connection_remembers_do_not_bring_copies_back(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    there, gone = with_copies_in_gaps(path)
    database = SqliteDatabase(path)
    with database.reading() as connection:
        assert connection.execute("SELECT MAX(LENGTH(subject_id)), MAX(etag) FROM subjects").fetchone()
        assert connection.execute("SELECT subject_id FROM subjects ORDER BY gallery_key, subject_id").fetchall()
    database.erase_traces(patience=60)
    with database.writing() as connection:
        connection.executemany("UPDATE subjects SET etag = 'f' WHERE subject_id = ?", [(each,) for each in there])
        face_rows(1, faces(range(2000, 2100), random.Random(1)), Sealer()).insert(connection)
    assert not left_of(gone, tmp_path)
    database.close()


@pytest.mark.parametrize("how", ["backup", "compact"])
def test_a_copy_of_a_database_of_an_earlier_version_has_no_traces(tmp_path: Path, how: str) -> None:
    path = tmp_path / "facet.db"
    there, gone = with_copies_in_gaps(path)
    if how == "backup":
        (tmp_path / "copies").mkdir()
        copy = tmp_path / "copies" / "facet.backup"
        copies.backup(path, copy)
    else:
        copy = path
        copies.compact(path)
    assert not left_of(gone, copy.parent)
    assert filled_gaps(copy) == []
    connection = sqlite3.connect(copy)
    assert {each for (each,) in connection.execute("SELECT subject_id FROM subjects")} == there
    connection.close()


def test_a_database_is_known_to_be_swept_until_somebody_else_changes_it(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    path.write_bytes(b"contents")
    database, lock_file = (os.open(each, os.O_RDWR | os.O_CREAT, 0o600) for each in (path, tmp_path / "lock"))
    assert not read_mark(lock_file, database)
    write_mark(lock_file, database)
    assert read_mark(lock_file, database)
    assert not read_mark(lock_file, database), "the mark is taken"
    write_mark(lock_file, database)
    path.write_bytes(b"other contents")
    assert not read_mark(lock_file, database)
    os.close(database)
    os.close(lock_file)


def test_a_page_that_is_no_sound_page_of_a_tree_has_no_gap() -> None:
    overflow = (7).to_bytes(4, "big") + bytes(range(256)) * 63
    assert gap_of(overflow, 9) == (0, 0)
    leaf = bytes([13, 0, 0, 0, 2, 0, 60, 0]) + bytes([0, 80, 0, 60]) + b"a trace" + bytes(100)
    assert gap_of(leaf, 9) == (12, 60)
    damaged = bytearray(leaf)
    damaged[9] = 40
    assert gap_of(bytes(damaged), 9) == (0, 0), "a cell would be lost"
