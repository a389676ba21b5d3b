"""The SQLite store's file: what it holds, what is erased from it, and who may open it."""

from __future__ import annotations

import sqlite3
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gallery.errors import GalleryNotFound, SchemaTooNew, StorageBusy, StorageUnavailable
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.subjects import Subject, renaming
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite import removal as sqlite_removal
from gallery.stores.sqlite.file.files import PAGE_SIZE
from gallery.stores.sqlite.removal import remove
from gallery.stores.sqlite.rows import gallery_key_of
from gallery.stores.sqlite.schema import MIGRATIONS
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 512


def opened(path: Path) -> Galleries:
    return Galleries(SqliteStore(path), contract="c", dimension=DIMENSION, max_templates_per_subject=20)


def embeddings(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    vectors = np.random.default_rng(3).normal(size=(count, DIMENSION))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def face(embedding: np.ndarray[tuple[int], np.dtype[np.float32]], name: str, picture: str) -> Enrollment:
    return Enrollment(
        embedding=embedding,
        contract="c",
        picture_sha256=picture,
        box=(0.0, 0.0, 9.0, 9.0),
        quality=1.0,
        display_name=name,
        request_id=f"request of {name} {picture}",
        request_digest="d",
        crop=f"the face of {name}".encode() * 2000,
    )


def traces(path: Path, wanted: bytes) -> list[str]:
    """Return the names of the files that contain these bytes."""
    return [each.name for each in path.parent.iterdir() if wanted in each.read_bytes()]


def stored(path: Path) -> list[bytes]:
    with sqlite3.connect(path) as connection:
        blobs = [blob for (blob,) in connection.execute("SELECT embedding FROM templates ORDER BY template_id")]
    connection.close()
    return blobs


def test_embeddings_are_stored_as_little_endian_float32_and_times_as_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.5)
    (vector,) = embeddings(1)
    created = galleries.enroll("g", "ann", face(vector, "Ann", "p")).subject.create_time
    galleries.close()
    (blob,) = stored(path)
    assert np.frombuffer(blob, "<f4") == pytest.approx(vector, abs=1e-7)
    connection = sqlite3.connect(path)
    (microseconds,) = connection.execute("SELECT create_time FROM subjects").fetchone()
    connection.close()
    assert microseconds == round(created.timestamp() * 1e6)


@pytest.mark.parametrize("way", ["subject", "template", "gallery"])
def test_deleted_data_leaves_no_trace_in_any_file(tmp_path: Path, way: str) -> None:
    path = tmp_path / "facet.db"
    galleries = opened(path)
    for gallery_id in ("gone-gallery", "kept-gallery"):
        galleries.create_gallery(gallery_id, display_name=f"name of {gallery_id}", threshold=0.9)
    rng = np.random.default_rng(1)
    vectors = embeddings(60)
    in_gone = set(rng.permutation(60)[:30].tolist())
    for number, vector in enumerate(vectors):
        gallery_id, what = ("gone-gallery", "gone") if number in in_gone else ("kept-gallery", "kept")
        galleries.enroll(gallery_id, f"{what}-id-{number}", face(vector, f"{what}-name-{number}", f"{number}"))
    blobs = stored(path)
    assert traces(path, blobs[0])
    for number in sorted(in_gone):
        subject_id = f"gone-id-{number}"
        if way == "subject":
            galleries.delete_subject("gone-gallery", subject_id)
        elif way == "template":
            (template,) = galleries.list_templates("gone-gallery", subject_id, page_size=5).items
            galleries.delete_template("gone-gallery", subject_id, template.template_id)
    if way == "gallery":
        galleries.delete_gallery("gone-gallery", force=True)
        assert not traces(path, b"name of gone-gallery")
    for number, blob in enumerate(blobs):
        if number not in in_gone:
            assert traces(path, blob) == [path.name]
            assert traces(path, f"kept-name-{number}".encode()) == [path.name]
            assert traces(path, f"the face of kept-name-{number}the".encode()) == [path.name]
            continue
        assert not any(traces(path, blob[start : start + 64]) for start in range(0, len(blob), 64))
        assert not traces(path, f"request of gone-name-{number}".encode())
        assert not traces(path, f"the face of gone-name-{number}the".encode())
        if way != "template":
            assert not traces(path, f"gone-name-{number}".encode())
            assert not traces(path, f"gone-id-{number}".encode())
    galleries.close()


def test_a_former_name_leaves_no_trace_in_any_file(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.9)
    galleries.enroll("g", "ann", Enrollment(embeddings(1)[0], "c", "p", (0, 0, 9, 9), 1.0, "a former name"))
    assert traces(path, b"a former name")
    galleries.update_subject("g", "ann", renaming("new"))
    assert not traces(path, b"a former name")
    galleries.close()


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.5)
    assert {each.name for each in tmp_path.iterdir()} >= {"facet.db", "facet.db-wal", "facet.db.lock"}
    for each in tmp_path.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each.name
    galleries.close()


def test_a_database_can_only_be_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    store = SqliteStore(path)
    with pytest.raises(StorageBusy, match="another process"):
        SqliteStore(path)
    store.close()
    SqliteStore(path).close()


def test_a_failed_opening_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    path.write_bytes(b"this is no database at all" * 100)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            SqliteStore(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    path.unlink()
    SqliteStore(path).close()


def test_a_newer_schema_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew) as refused:
        SqliteStore(path)
    assert (refused.value.path, refused.value.found, refused.value.supported) == (str(path), 99, len(MIGRATIONS))
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StorageUnavailable, match="not one of galleries"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_commits_are_synchronous(tmp_path: Path) -> None:
    # Only a power cut would show the difference: a killed process's writes survive in the kernel's cache.
    store = SqliteStore(tmp_path / "facet.db")
    (synchronous,) = store.database.connection.execute("PRAGMA synchronous").fetchone()
    (journal,) = store.database.connection.execute("PRAGMA journal_mode").fetchone()
    assert (synchronous, journal) == (2, "wal")
    store.close()


def test_a_closed_store_is_unavailable(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.5)
    galleries.close()
    galleries.close()
    with pytest.raises(StorageUnavailable):
        galleries.get_gallery("g")
    with pytest.raises(StorageUnavailable):
        galleries.enroll("g", "ann", face(embeddings(1)[0], "", "p"))


def test_a_template_is_stored_with_its_models_and_crop(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    galleries = Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20)
    galleries.create_gallery("g", display_name="", threshold=0.9, mean_of_best=4)
    one, other = embeddings(2)
    with_all = Enrollment(one, "c", "p", (1, 2, 3, 4), 0.5, face_model="a" * 64, embedding_model="b" * 64, crop=b"png")
    first = galleries.enroll("g", "ann", with_all).template
    second = galleries.enroll("g", "bob", Enrollment(other, "c", "q", (1, 2, 3, 4), 0.5)).template
    assert (first.face_model, first.embedding_model, first.has_crop) == ("a" * 64, "b" * 64, True)
    assert store.templates("g", "ann", after="", limit=9) == [first]
    assert store.templates("g", "bob", after="", limit=9) == [second]
    assert [face.crop for face in store.faces("g", after=("", ""), limit=9)] == [b"png", None]
    assert galleries.get_gallery("g").mean_of_best == 4
    assert galleries.update_gallery("g", GalleryChange(mean_of_best=2)).mean_of_best == 2
    galleries.delete_template("g", "ann", first.template_id)
    assert store.database.connection.execute("SELECT COUNT(*) FROM crops").fetchone() == (0,)
    galleries.close()


def test_counts_follow_every_change(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    templates = [
        galleries.enroll("g", f"s{number // 3}", face(vector, "", f"p{number}")).template
        for number, vector in enumerate(embeddings(9))
    ]

    def counts() -> tuple[int, int]:
        gallery = galleries.get_gallery("g")
        return gallery.subject_count, gallery.template_count

    assert counts() == (3, 9)
    galleries.delete_template("g", "s0", templates[0].template_id)
    assert counts() == (3, 8)
    galleries.delete_subject("g", "s1")
    assert counts() == (2, 5)
    for template in templates[6:]:
        galleries.delete_template("g", "s2", template.template_id)
    assert counts() == (2, 2)
    galleries.close()


def test_a_page_after_a_deleted_template_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    galleries = Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    one, other = (galleries.enroll("g", "ann", face(vector, "", str(vector[0]))).template for vector in embeddings(2))
    galleries.delete_template("g", "ann", one.template_id)
    with pytest.raises(StorageUnavailable, match="was deleted"):
        store.embedded_templates("g", after=one.template_id, limit=9)
    assert list(store.embedded_templates("g", after="", limit=9).template_ids) == [other.template_id]
    galleries.close()


def test_a_new_database_has_large_pages(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    assert store.database.connection.execute("PRAGMA page_size").fetchone() == (PAGE_SIZE,)
    store.close()


def store_gallery(store: SqliteStore, gallery_id: str, templates: int) -> None:
    """Store a gallery with one subject that has this many templates."""
    now = datetime.now(UTC)
    subject = Subject(gallery_id, "ann", "", 0, now, now, "e")
    template = Template("", gallery_id, "ann", "p", (0.0, 0.0, 9.0, 9.0), 1.0, now)
    (vector,) = embeddings(1)
    importing = store.begin_import(Gallery(gallery_id, "", 0.9, 1, "c", 0, 0, now, now, "e"))
    importing.add(
        [
            StoredFace(subject, replace(template, template_id=f"t{number:06}"), vector, None)
            for number in range(templates)
        ]
    )
    importing.commit()


def test_a_visible_gallery_with_a_reused_key_is_not_removed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    store_gallery(store, "old", 2)
    with store.database.reading() as connection:
        key = gallery_key_of(connection, "old")
    store.delete_gallery("old", force=True, etag="")
    store.scrub()
    store_gallery(store, "new", 3)
    with store.database.reading() as connection:
        assert gallery_key_of(connection, "new") == key
    remove(store.database, key, store.erasures, lambda _: None)
    assert store.gallery("new").template_count == len(store.templates("new", "ann", after="", limit=9)) == 3
    store.close()


def test_a_deletion_does_not_wait_for_the_removal_of_a_large_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_removal, "ROWS_PER_TRANSACTION", 1)
    store = SqliteStore(tmp_path / "facet.db")
    store_gallery(store, "large", 400)
    store_gallery(store, "small", 1)
    galleries = Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=400)

    def templates() -> int:
        with store.database.reading() as connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM templates").fetchone()
            return int(count)

    deleting = threading.Thread(target=lambda: galleries.delete_gallery("large", force=True))
    deleting.start()
    while templates() > 395:
        pass
    galleries.delete_subject("small", "ann")
    assert templates() > 100
    deleting.join()
    assert templates() == 0
    with pytest.raises(GalleryNotFound):
        galleries.get_gallery("large")
    galleries.close()


def test_a_failed_removal_is_repeated_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    store_gallery(store, "old", 2)
    failing = threading.Event()

    def remove_later(*_: object) -> None:
        failing.set()
        raise StorageUnavailable("not now")

    store.delete_gallery("old", force=True, etag="")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_removal, "remove", remove_later)
        with pytest.raises(StorageUnavailable, match="not now"):
            store.scrub()
    while True:
        with store.database.reading() as connection:
            if connection.execute("SELECT COUNT(*) FROM galleries").fetchone() == (0,):
                break
    assert failing.is_set()
    store.close()


def test_the_cost_of_a_page_of_faces_does_not_depend_on_the_templates_of_a_subject(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    steps: dict[tuple[int, str], int] = {}
    for templates in (200, 2000):
        store_gallery(store, f"g{templates}", templates)
        for page, after in {"first": ("", ""), "last": ("ann", f"t{templates - 51:06}")}.items():
            ticks: list[None] = []
            store.database.connection.set_progress_handler(partial(ticks.append, None), 100)
            assert len(store.faces(f"g{templates}", after=after, limit=50)) == 50
            steps[templates, page] = len(ticks)
    assert max(steps.values()) < 1.2 * min(steps.values())
    store.close()


def test_a_database_can_only_be_opened_once_through_links(tmp_path: Path) -> None:
    path, link = tmp_path / "data" / "facet.db", tmp_path / "link.db"
    path.parent.mkdir()
    link.symlink_to(path)
    store = SqliteStore(link)
    assert path.is_file()
    with pytest.raises(StorageBusy, match="another process"):
        SqliteStore(path)
    store.close()
    store = SqliteStore(path)
    with pytest.raises(StorageBusy, match="another process"):
        SqliteStore(link)
    store.close()
    assert {each.name for each in tmp_path.iterdir()} == {"data", "link.db"}


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "facet.db"
    link.symlink_to(link)
    with pytest.raises(StorageUnavailable, match=r"form a circle|symbolic links"):
        SqliteStore(link)
