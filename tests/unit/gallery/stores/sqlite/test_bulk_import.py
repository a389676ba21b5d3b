"""Imports into the SQLite store: hidden until they are committed, and removed if they are not."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gallery.errors import GalleryExists, GalleryNotFound, StorageFull, StorageUnavailable
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.base import AddedTemplate
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify

DIMENSION = 16
NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)


def gallery(gallery_id: str) -> Gallery:
    return Gallery(gallery_id, f"name of {gallery_id}", 0.25, 3, "c", 0, 0, NOW, NOW, "etag")


def faces(gallery_id: str, subjects: int, *, each: int = 2, crop: bytes | None = None) -> list[StoredFace]:
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(subjects * each, DIMENSION))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return [
        StoredFace(
            Subject(gallery_id, f"s{number // each:05}", f"imported name {number // each}", 0, NOW, NOW, "etag"),
            Template(
                f"t{number % each}-{number:05}",
                gallery_id,
                f"s{number // each:05}",
                f"picture {number}",
                (1.0, 2.0, 3.5, 4.5),
                0.5,
                NOW,
                "f" * 64,
                "e" * 64,
                has_crop=crop is not None,
            ),
            vector,
            crop,
        )
        for number, vector in enumerate(vectors)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "facet.db")
    yield opened
    opened.close()


def exported(store: SqliteStore, gallery_id: str, *, page: int = 7) -> list[StoredFace]:
    found: list[StoredFace] = []
    after = ("", "")
    while some := store.faces(gallery_id, after=after, limit=page):
        found += some
        last = some[-1]
        after = last.key
    return found


def test_an_import_is_invisible_until_it_is_committed(store: SqliteStore) -> None:
    store.create_gallery(gallery("other"))
    importing = store.begin_import(gallery("g"))
    importing.add(faces("g", 600))
    assert [each.gallery_id for each in store.galleries(after="", limit=9)] == ["other"]
    for read in (
        lambda: store.gallery("g"),
        lambda: store.subject("g", "s00001"),
        lambda: store.subjects("g", after="", limit=9),
        lambda: store.embedded_templates("g", after="", limit=9),
        lambda: store.faces("g", after=("", ""), limit=9),
        lambda: store.delete_gallery("g", force=True, etag=""),
    ):
        with pytest.raises(GalleryNotFound):
            read()
    committed = importing.commit()
    assert committed == replace(gallery("g"), subject_count=600, template_count=1200) == store.gallery("g")
    assert [each.gallery_id for each in store.galleries(after="", limit=9)] == ["g", "other"]


def test_imported_faces_are_stored_unchanged(store: SqliteStore) -> None:
    wanted = faces("g", 40, each=3, crop=b"\x89PNG and so on")
    nobody = StoredFace(Subject("g", "s00010a", "no face", 0, NOW, NOW, "etag"), None, None, None)
    importing = store.begin_import(gallery("g"))
    # A subject may be in several batches.
    order = np.random.default_rng(1).permutation(len(wanted))
    for start in range(0, len(order), 11):
        importing.add([wanted[number] for number in order[start : start + 11]])
    importing.add([nobody])
    importing.commit()
    found = exported(store, "g")
    expected = sorted(
        [*wanted, nobody],
        key=lambda face: face.key,
    )
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert replace(one.subject, template_count=0) == other.subject
        assert (one.template, one.crop) == (other.template, other.crop)
        assert (one.embedding is None) == (other.embedding is None)
        if one.embedding is not None and other.embedding is not None:
            assert np.array_equal(one.embedding, other.embedding)
    assert store.gallery("g").subject_count == 41


def test_pages_list_every_template_once(store: SqliteStore) -> None:
    importing = store.begin_import(gallery("g"))
    wanted = faces("g", 50)
    importing.add(wanted)
    importing.commit()
    seen: dict[str, tuple[str, str]] = {}
    after = ""
    while len(page := store.embedded_templates("g", after=after, limit=9)):
        assert page.embeddings.shape == (len(page), DIMENSION)
        for subject_id, name, template_id in zip(page.subject_ids, page.display_names, page.template_ids, strict=True):
            assert template_id not in seen
            seen[template_id] = (subject_id, name)
        after = page.template_ids[-1]
    assert seen == {
        face.template.template_id: (face.subject.subject_id, face.subject.display_name)
        for face in wanted
        if face.template
    }


def test_the_first_of_two_imports_with_one_id_to_commit_succeeds(store: SqliteStore) -> None:
    first, second = store.begin_import(gallery("g")), store.begin_import(gallery("g"))
    first.add(faces("g", 2))
    second.add(faces("g", 3))
    second.commit()
    with pytest.raises(GalleryExists):
        first.commit()
    first.abort()
    store.scrub()
    assert store.gallery("g").subject_count == 3
    with pytest.raises(GalleryExists):
        store.begin_import(gallery("g"))


def test_a_gallery_created_during_an_import_keeps_its_id(store: SqliteStore) -> None:
    importing = store.begin_import(gallery("g"))
    importing.add(faces("g", 2))
    store.create_gallery(gallery("g"))
    with pytest.raises(GalleryExists):
        importing.commit()
    assert store.gallery("g").subject_count == 0
    importing.abort()
    with pytest.raises(RuntimeError, match="finished"):
        importing.add(faces("g", 1))


def rows(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    connection.close()
    return int(count)


def test_an_aborted_import_leaves_no_trace(store: SqliteStore, tmp_path: Path) -> None:
    importing = store.begin_import(gallery("g"))
    importing.add(faces("g", 700, crop=b"a picture of somebody"))
    importing.abort()
    importing.abort()
    store.scrub()
    for table in ("galleries", "subjects", "templates", "crops"):
        assert rows(tmp_path / "facet.db", table) == 0
    for each in tmp_path.iterdir():
        contents = each.read_bytes()
        assert b"imported name" not in contents
        assert b"a picture of somebody" not in contents


def test_the_remains_of_a_dead_import_are_removed_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    store = SqliteStore(path)
    store.create_gallery(gallery("kept"))
    store.begin_import(gallery("g")).add(faces("g", 700))
    store.close()
    assert rows(path, "templates") == 1400
    assert verify(path).unfinished == 1
    store = SqliteStore(path)
    assert [each.gallery_id for each in store.galleries(after="", limit=9)] == ["kept"]
    again = store.begin_import(gallery("g"))
    store.scrub()
    again.add(faces("g", 5))
    assert again.commit().template_count == 10
    store.close()
    assert (rows(path, "templates"), verify(path).unfinished) == (10, 0)
    assert b"imported name 600" not in b"".join(each.read_bytes() for each in tmp_path.iterdir())


def test_an_interrupted_removal_is_finished_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    store = SqliteStore(path)
    importing = store.begin_import(gallery("g"))
    importing.add(faces("g", 700))
    importing.commit()
    store.delete_gallery("g", force=True, etag="")
    with pytest.raises(GalleryNotFound):
        store.gallery("g")
    store.create_gallery(gallery("g"))
    store.close()
    store = SqliteStore(path)
    store.scrub()
    assert store.gallery("g").template_count == 0
    store.close()
    assert rows(path, "templates") == 0


def test_no_transaction_of_a_removal_gives_up_when_the_log_has_filled_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction fails once, as it does on a full disk, and works once the log is empty."""
    store = SqliteStore(tmp_path / "facet.db")
    importing = store.begin_import(gallery("g"))
    importing.add(faces("g", 10))
    importing.commit()
    store.delete_gallery("g", force=True, etag="")
    writing, failures = store.database.writing, [0, 0]

    @contextmanager
    def full_every_second_time(*, erases: bool = False) -> Iterator[sqlite3.Connection]:
        failures[0] += 1
        if failures[0] % 2:
            failures[1] += 1
            raise StorageFull("the disk is full")
        with writing(erases=erases) as connection:
            yield connection

    monkeypatch.setattr(store.database, "writing", full_every_second_time)
    store.scrub()
    monkeypatch.undo()
    store.close()
    assert failures[1] > 2
    assert rows(tmp_path / "facet.db", "galleries") == 0


def test_an_import_and_enrolments_take_turns(store: SqliteStore) -> None:
    store.create_gallery(gallery("other"))
    importing = store.begin_import(gallery("g"))
    enrolled, imported = 0, threading.Event()
    to_import, to_enroll = faces("g", 5000, each=1), faces("other", 3000, each=1)  # neither thread waits for them

    def fill() -> None:
        importing.add(to_import)
        imported.set()

    filling = threading.Thread(target=fill)
    filling.start()
    for face in to_enroll:
        if imported.is_set():
            break
        assert face.template is not None
        assert face.embedding is not None
        store.add_templates("other", [AddedTemplate(face.template, face.embedding, face.subject)])
        enrolled += 1
    filling.join()
    # There are ten batches: without taking turns, no enrolment would come between them.
    assert enrolled >= 3
    assert importing.commit().template_count == 5000
    assert store.gallery("other").template_count == enrolled


def test_a_closed_store_ends_an_import(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    importing = store.begin_import(gallery("g"))
    store.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        importing.add(faces("g", 1))
    importing.abort()
