"""Every erasure leaves a record, which says when the bytes were gone and what a search for them found."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.errors import EtagMismatch
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.erasures import Erasure, ErasureCause, ErasureOutcome
from gallery.stores.sqlite import copies
from gallery.stores.sqlite.erasure_records import checker
from gallery.stores.sqlite.erasure_records.byte_search import ByteSearch
from gallery.stores.sqlite.erasure_records.evidence import Evidence, kept_values
from gallery.stores.sqlite.file.files import connect
from gallery.stores.sqlite.rows import subject_key_of
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import EARLIEST
from tests.waiting import PATIENCE, until

DIMENSION = 64


def opened(path: Path, keep: timedelta = timedelta(days=1)) -> tuple[Galleries, SqliteStore]:
    store = SqliteStore(path, keep_erasures=keep)
    return Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=100), store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facet.db"


@pytest.fixture
def galleries(path: Path) -> Iterator[Galleries]:
    made, _ = opened(path)
    made.create_gallery("g", display_name="", threshold=1.0)
    yield made
    made.close()


def crop(number: int) -> bytes:
    return np.random.default_rng(1000 + number).bytes(5000)


def enroll(galleries: Galleries, subject_id: str, number: int, gallery_id: str = "g") -> str:
    embedding = np.random.default_rng(number).normal(size=DIMENSION).astype(np.float32)
    enrollment = Enrollment(
        embedding,
        "c",
        f"{number:064}",
        (0, 0, 9, 9),
        1.0,
        f"Name {number}",
        request_id=f"request {number}",
        request_digest=hashlib.sha256(f"{gallery_id} {number}".encode()).hexdigest(),
        accept_lookalike=True,
        accept_unlike=True,
        crop=crop(number),
    )
    return galleries.enroll(gallery_id, subject_id, enrollment).template.template_id


def records(galleries: Galleries, gallery_id: str = "", subject_id: str = "") -> tuple[Erasure, ...]:
    return galleries.erasures.list(gallery_id, subject_id, since=EARLIEST, page_size=100).items


def complete(galleries: Galleries, count: int) -> tuple[Erasure, ...]:
    """Wait until so many records are there, all of them complete."""

    def is_complete() -> bool:
        found = records(galleries)
        return len(found) == count and all(each.outcome is not ErasureOutcome.PENDING for each in found)

    until(is_complete)
    return records(galleries)


def test_a_forgotten_subject_leaves_a_record_without_personal_data(galleries: Galleries) -> None:
    for number in range(3):
        enroll(galleries, "ada", number)
    enroll(galleries, "bob", 9)
    galleries.delete_subject("g", "ada")
    (record,) = complete(galleries, 1)
    assert (record.cause, record.gallery_id) == (ErasureCause.SUBJECT_DELETED, "g")
    assert (record.subjects, record.templates, record.crops, record.requests) == (1, 3, 3, 3)
    assert record.gone_time is not None
    assert record.gone_time >= record.erase_time
    assert record.outcome is ErasureOutcome.NOT_FOUND
    assert record.values_searched == 1 + 3 * 3, "the name, and three embeddings, crops and requests"
    assert (record.values_kept, record.other_files) == (0, 0)
    assert record.bytes_searched == record.bytes_present > 0
    assert "ada" not in str(record)
    assert records(galleries, "g", "ada") == (record,)
    assert records(galleries, "g", "bob") == records(galleries, "h", "ada") == ()


def test_what_is_searched_for_is_in_the_file_as_long_as_the_rows_are(path: Path) -> None:
    galleries, store = opened(path)
    galleries.create_gallery("g", display_name="", threshold=1.0)
    for number in range(3):
        enroll(galleries, "ada", number)
    evidence = Evidence()
    with store.database.reading() as connection:
        key = subject_key_of(connection, "g", "ada")
        evidence.add_subject(connection, key)
        keys = [key for (key,) in connection.execute("SELECT key FROM templates")]
        evidence.add_templates(connection, keys)
    galleries.close()
    assert ByteSearch(evidence.values).in_bytes(path.read_bytes()) == set(range(10))
    evidence.forget()
    assert evidence.values == []


def test_templates_and_galleries_leave_records(galleries: Galleries) -> None:
    template_id = enroll(galleries, "ada", 1)
    for number in range(2, 6):
        enroll(galleries, "ada", number)
    galleries.delete_template("g", "ada", template_id)
    galleries.delete_gallery("g", force=True)
    template, gallery = complete(galleries, 2)
    assert (template.cause, template.subjects, template.templates) == (ErasureCause.TEMPLATE_DELETED, 0, 1)
    assert gallery.cause is ErasureCause.GALLERY_DELETED
    assert (gallery.subjects, gallery.templates, gallery.crops, gallery.requests) == (1, 4, 4, 4)
    assert gallery.subject_hash == ""
    assert {template.outcome, gallery.outcome} == {ErasureOutcome.NOT_FOUND}
    assert gallery.values_searched == 4 * 3


def test_a_refused_deletion_leaves_no_record(galleries: Galleries) -> None:
    enroll(galleries, "ada", 1)
    with pytest.raises(EtagMismatch):
        galleries.delete_subject("g", "ada", etag="another")
    assert records(galleries) == ()


def test_bytes_that_are_left_are_found(galleries: Galleries, path: Path) -> None:
    enroll(galleries, "ada", 1)
    path.with_name("facet.db.keys").write_bytes(b"before" + crop(1))
    galleries.delete_subject("g", "ada")
    (record,) = complete(galleries, 1)
    assert record.outcome is ErasureOutcome.FOUND


def test_copies_of_the_bytes_in_the_folder_are_counted_apart(galleries: Galleries, path: Path) -> None:
    enroll(galleries, "ada", 1)
    copies.backup(path, path.with_name("backup.db"))
    galleries.delete_subject("g", "ada")
    (record,) = complete(galleries, 1)
    assert (record.outcome, record.other_files) == (ErasureOutcome.NOT_FOUND, 1)
    (backup,) = galleries.erasures.copies("g")
    assert (backup.kind, backup.gallery_id) == ("backup", "")
    assert backup.time <= record.erase_time


def test_the_same_picture_of_a_living_template_is_no_trace(galleries: Galleries) -> None:
    galleries.create_gallery("h", display_name="", threshold=1.0)
    enroll(galleries, "ada", 1)
    enroll(galleries, "ada", 1, "h")
    galleries.delete_subject("g", "ada")
    (record,) = complete(galleries, 1)
    assert (record.outcome, record.values_kept) == (ErasureOutcome.NOT_FOUND, 2), "its embedding and its crop"


def test_a_process_completes_the_records_that_an_earlier_one_left(path: Path) -> None:
    galleries, store = opened(path)
    galleries.create_gallery("g", display_name="", threshold=1.0)
    enroll(galleries, "ada", 1)
    # Without scrubbing, as if the process were killed after the transaction.
    store.delete_subject("g", "ada", etag="")
    store.database.close()
    again, _ = opened(path)
    (record,) = complete(again, 1)
    again.close()
    assert record.outcome is ErasureOutcome.NOT_SEARCHED
    assert record.gone_time is not None
    assert (record.templates, record.crops) == (1, 1)


def test_records_are_kept_for_a_time(path: Path) -> None:
    galleries, _ = opened(path, keep=timedelta(days=1))
    galleries.create_gallery("g", display_name="", threshold=1.0)
    enroll(galleries, "ada", 1)
    galleries.delete_subject("g", "ada")
    complete(galleries, 1)
    galleries.close()
    again, _ = opened(path, keep=timedelta(0))
    assert records(again) == ()
    enroll(again, "bob", 2)
    again.delete_subject("g", "bob")
    again.close()
    with closing(connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM erasures").fetchone() == (1,), "the first one was deleted"


def test_records_come_by_the_page(galleries: Galleries) -> None:
    for number in range(5):
        enroll(galleries, f"s{number}", number)
        galleries.delete_subject("g", f"s{number}")
    first = galleries.erasures.list("g", "", since=EARLIEST, page_size=3)
    second = galleries.erasures.list("g", "", since=EARLIEST, page_size=3, page_token=first.next_page_token)
    ids = [each.erasure_id for each in (*first.items, *second.items)]
    assert len(ids) == 5
    assert ids == sorted(ids)
    assert not second.next_page_token
    assert records(galleries, "g") == tuple(each for each in records(galleries) if each.gallery_id == "g")


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database is locked"), RuntimeError("unexpected")])
def test_erasures_are_checked_after_a_search_that_fails(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Also if nobody expects the error: then the thread that checks goes on, too."""
    failures = [error]

    def failing(*args: Any) -> set[int]:
        if failures:
            raise failures.pop()
        return kept_values(*args)

    monkeypatch.setattr(checker, "kept_values", failing)
    monkeypatch.setattr(checker, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(checker, "_RETRY_UNEXPECTED_SECONDS", 0.01)
    galleries.create_gallery("h", display_name="", threshold=1.0)
    for gallery_id in ("g", "h"):
        enroll(galleries, "ada", 1, gallery_id)
    galleries.delete_subject("g", "ada")
    (record,) = complete(galleries, 1)
    assert (record.outcome, failures) == (ErasureOutcome.NOT_FOUND, [])
    enroll(galleries, "bob", 2)
    galleries.delete_subject("g", "bob")
    complete(galleries, 2)


def test_a_caller_who_cannot_be_told_keeps_no_erasure_from_being_checked(path: Path) -> None:
    galleries, store = opened(path)
    told: list[str] = []

    def tell(erasure: Erasure) -> None:
        told.append(erasure.erasure_id)
        raise RuntimeError

    store.erasures.on_checked = tell
    galleries.create_gallery("g", display_name="", threshold=1.0)
    for number, subject_id in enumerate(("ada", "bob")):
        enroll(galleries, subject_id, number)
        galleries.delete_subject("g", subject_id)
        assert complete(galleries, number + 1)[-1].values_searched, "it was checked once"
    galleries.close()
    assert len(told) == 2


_WRITE_ALONE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
print(connection.execute("PRAGMA journal_mode = DELETE").fetchone())
"""


def test_files_stay_open_that_sqlite_has_locked(galleries: Galleries, path: Path) -> None:
    """Another process cannot have the file alone: it could if a file with SQLite's locks had been closed."""
    enroll(galleries, "ada", 1)
    galleries.delete_subject("g", "ada")
    complete(galleries, 1)
    other = subprocess.run(
        [sys.executable, "-c", _WRITE_ALONE, str(path)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "database is locked" in other.stderr, other
