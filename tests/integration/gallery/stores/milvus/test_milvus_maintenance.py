"""Orphaned, abandoned and deleted rows in Milvus, its collections of other versions, and its failures."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facet.benchmarks.galleries.milvus.milvus_server import MilvusServer
from gallery.errors import GalleryNotFound, SchemaTooNew, StorageUnavailable, SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.galleries import GalleryChange
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.records.thresholds import ThresholdSource
from gallery.stores.base import EnrollmentRequest
from gallery.stores.milvus import removal as milvus_removal
from gallery.stores.milvus.milvus_store import MilvusStore
from gallery.stores.milvus.rows import row_id, subject_row, template_row
from gallery.stores.milvus.schema import VERSION, with_no_vector
from gallery.stores.milvus.subject_templates import ORPHAN_AGE
from tests.integration.gallery.stores.milvus.samples import (
    CONTRACT,
    DIMENSION,
    face,
    filled,
    galleries_of,
    new_gallery,
    vectors,
)
from tests.integration.gallery.stores.samples import add_template, enrollment_state


def test_an_orphaned_template_is_invisible_and_removed_by_the_next_enrolment(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    first, second = vectors(2, 1)
    galleries.enroll(gallery_id, "bob", face(second))
    location = store.locator.find(gallery_id)
    assert location.templates is not None
    long_ago = datetime.now(UTC) - ORPHAN_AGE - timedelta(seconds=1)
    dead = Template("dead", gallery_id, "ann", "p", (0, 0, 1, 1), 1.0, long_ago)
    store.milvus.insert(
        location.templates, [template_row(dead, location.key, first, None, store.collections.fields("templates"))]
    )
    (found,) = galleries.search(gallery_id, first[None], top_k=5)
    assert [each.subject_id for each in found.candidates] == ["bob"]
    with pytest.raises(SubjectNotFound):
        galleries.get_subject(gallery_id, "ann")
    assert [each.subject_id for each in galleries.list_subjects(gallery_id, page_size=5).items] == ["bob"]
    assert not enrollment_state(store, gallery_id, "ann", picture_sha256="p", request_id="").templates_of_picture
    assert [each.subject.subject_id for each in store.faces(gallery_id, after=("", ""), limit=5)] == ["bob"]
    assert list(store.embedded_templates(gallery_id, after="", limit=1).subject_ids) == ["bob"]
    enrolled = galleries.enroll(gallery_id, "ann", face(first, picture="p"))
    assert list(galleries.list_templates(gallery_id, "ann", page_size=5).items) == [enrolled.template]


def test_a_request_that_has_left_an_orphan_is_answered_once(store: MilvusStore) -> None:
    """The orphan comes before the template of the request that was repeated."""
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    asked = replace(face(vectors(1, 1)[0], request_id="r"), accept_lookalike=False)
    galleries.enroll(gallery_id, "bob", face(vectors(2, 1)[1]))
    location = store.locator.find(gallery_id)
    orphan = Template("0", gallery_id, "dead", asked.picture_sha256, asked.box, 1.0, datetime.now(UTC))
    fields = store.collections.fields("templates")
    row = template_row(orphan, location.key, asked.embedding, EnrollmentRequest("r", "d"), fields)
    store.milvus.insert(str(location.templates), [row])
    first = galleries.enroll(gallery_id, "", asked)
    again = galleries.enroll(gallery_id, "", asked)
    assert not first.already_enrolled
    assert (again.template, again.already_enrolled) == (first.template, True)
    (found,) = galleries.search(gallery_id, asked.embedding[None], top_k=5)
    assert [each.subject_id for each in found.candidates] == [first.subject.subject_id, "bob"]


def test_a_subject_enrolled_by_two_replicas_keeps_its_name_and_gets_both_templates(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    now = datetime.now(UTC)
    theirs, ours = (Subject(gallery_id, "ann", name, 0, now, now, name) for name in ("theirs", "ours"))
    for subject, embedding in zip((theirs, ours), vectors(2, 1), strict=True):
        template = Template(uuid.uuid4().hex, gallery_id, "ann", subject.etag, (0, 0, 1, 1), 1.0, now)
        add_template(store, template, embedding, new_subject=subject, request=None, crop=None)
    assert galleries.get_subject(gallery_id, "ann") == replace(theirs, template_count=2)


def test_an_abandoned_import_is_removed_and_cannot_be_committed(
    store: MilvusStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = new_gallery()
    dead = store.begin_import(gallery)
    subject = Subject(gallery.gallery_id, "ann", "Ann", 0, gallery.create_time, gallery.create_time, "e")
    template = Template("t", gallery.gallery_id, "ann", "p", (0, 0, 1, 1), 1.0, gallery.create_time, has_crop=True)
    dead.add([StoredFace(subject, template, vectors(1, 1)[0], b"png")])

    def remains() -> int:
        names = [store.collections.find_templates(CONTRACT), store.collections.subjects]
        names += [store.collections.find(kind) for kind in ("crops", "unfinished")]
        return sum(store.milvus.count(name, f"gallery == {dead.key}") for name in names if name)

    store.scrub()
    assert remains() == 4
    monkeypatch.setattr(milvus_removal, "ABANDONED_AFTER", timedelta(0))
    store.scrub()
    assert remains() == 0
    with pytest.raises(StorageUnavailable, match="was removed"):
        dead.commit()
    with pytest.raises(GalleryNotFound):
        store.gallery(gallery.gallery_id)


def test_a_deleted_gallery_leaves_no_row(store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = filled(store, {"ann": vectors(3, 1)})
    key = store.locator.find(gallery.gallery_id).key
    galleries_of(store).delete_gallery(gallery.gallery_id, force=True)
    templates = store.collections.find_templates(CONTRACT)
    assert templates is not None
    for name in (templates, store.collections.subjects, store.collections.galleries):
        assert store.milvus.count(name, f"gallery == {key}") == 0
    # Another replica, which had not seen it, may have been about to enrol.
    now = datetime.now(UTC)
    late = Template("late", gallery.gallery_id, "bob", "p", (0, 0, 1, 1), 1.0, now)
    store.milvus.insert(
        templates, [template_row(late, key, vectors(1, 1)[0], None, store.collections.fields("templates"))]
    )
    store.milvus.upsert(
        store.collections.subjects,
        [
            subject_row(
                Subject(gallery.gallery_id, "bob", "", 0, now, now, "e"), key, store.collections.fields("subjects")
            )
        ],
    )
    monkeypatch.setattr(milvus_removal, "ABANDONED_AFTER", timedelta(0))
    store.scrub()
    notes = store.collections.find("unfinished")
    assert notes is not None
    for name in (templates, store.collections.subjects, notes):
        assert store.milvus.count(name, f"gallery == {key}") == 0


def test_an_index_of_another_dimension_is_refused(store: MilvusStore) -> None:
    gallery = filled(store, {"ann": vectors(1, 1)})
    with pytest.raises(StorageUnavailable, match=f"embeddings of {DIMENSION} values, not of 7"):
        store.index(gallery, dimension=7)


def write_version(store: MilvusStore, version: int) -> None:
    """Change the schema version that the collections claim."""
    (row,) = store.milvus.query(store.collections.galleries, 'id == ""', ("id", *store.collections.gallery_fields))
    store.milvus.upsert(store.collections.galleries, [with_no_vector(row | {"mean_of_best": version})])


def create_collection(store: MilvusStore, name: str, texts: Sequence[str], numbers: Mapping[str, str]) -> None:
    """Create a collection with an id, these fields and a vector of no use."""
    schema, types = store.milvus.schema(partition_key=None), store.milvus.types()
    schema.add_field("id", types.VARCHAR, is_primary=True, max_length=600)
    for text in texts:
        schema.add_field(text, types.VARCHAR, max_length=16_384)
    for number, kind in numbers.items():
        schema.add_field(number, getattr(types, kind))
    schema.add_field("none", types.FLOAT_VECTOR, dim=2)
    store.milvus.create(name, schema, vector="none", index="FLAT", parameters={})


def test_collections_of_a_newer_version_are_refused(milvus_lite: None, tmp_path: Path) -> None:
    path = str(tmp_path / "facet.db")
    store = MilvusStore(path)
    write_version(store, 7)
    create_collection(store, "later_galleries", (), {"mean_of_best": "INT64"})  # a newer version may drop fields
    store.milvus.upsert("later_galleries", [with_no_vector({"id": "", "mean_of_best": 7})])
    store.close()
    for prefix in ("facet", "later"):
        with pytest.raises(SchemaTooNew) as refused:
            MilvusStore(path, prefix=prefix)
        assert (refused.value.found, refused.value.supported) == (7, VERSION)


def test_collections_of_other_programs_are_refused(milvus_lite: None, tmp_path: Path) -> None:
    path = str(tmp_path / "other.db")
    store = MilvusStore(path, prefix="mine")
    create_collection(store, "facet_galleries", (), {})
    store.close()
    with pytest.raises(StorageUnavailable, match="choose another prefix"):
        MilvusStore(path)


def test_sources_of_thresholds_are_inferred_in_collections_that_do_not_store_them(
    milvus_lite: None, tmp_path: Path
) -> None:
    path = str(tmp_path / "facet.db")
    store = MilvusStore(path, prefix="mine")
    texts = ("display_name", "contract", "etag", "calibration")
    numbers = {
        "gallery": "INT64",
        "threshold": "DOUBLE",
        "mean_of_best": "INT64",
        "created": "INT64",
        "updated": "INT64",
    }
    create_collection(store, "facet_galleries", texts, numbers)
    row = dict.fromkeys(("id", *texts), "") | dict.fromkeys(numbers, 0) | {"threshold": 0.0, "mean_of_best": 1}
    store.milvus.upsert("facet_galleries", [with_no_vector(row)])
    store.close()
    store = MilvusStore(path, default_threshold=0.34)
    galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=10)
    galleries.create_gallery("default", display_name="")
    galleries.create_gallery("chosen", display_name="", threshold=0.5)
    changed = galleries.update_gallery("default", GalleryChange(display_name="Renamed"))
    assert (changed.display_name, changed.threshold_source) == ("Renamed", ThresholdSource.DEFAULT)
    assert galleries.get_gallery("chosen").threshold_source is ThresholdSource.CALLER
    store.close()
    store = MilvusStore(path, default_threshold=0.5)
    assert [each.threshold_source for each in store.galleries(after="", limit=9)] == [
        ThresholdSource.DEFAULT,
        ThresholdSource.CALLER,
    ]
    store.close()


def test_a_wrong_token_is_refused_without_showing_it(milvus_server: MilvusServer) -> None:
    with pytest.raises(StorageUnavailable) as refused:
        MilvusStore(milvus_server.uri, token="root:a-secret-of-mine", timeout=5)
    assert "secret" not in str(refused.value)


def test_an_unreachable_milvus_is_reported_within_the_timeout() -> None:
    pytest.importorskip("pymilvus")
    with pytest.raises(StorageUnavailable):
        MilvusStore("http://127.0.0.1:9", timeout=1)


def test_a_missing_pymilvus_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(StorageUnavailable, match="need the package pymilvus"):
        MilvusStore("http://127.0.0.1:9")


def test_row_ids_sort_like_the_ids_they_contain() -> None:
    ids = ["a", "ab", "b", "é", "人", "😀"]
    assert sorted(row_id(5, each) for each in ids) == [row_id(5, each) for each in ids]
    assert row_id(5, "z") < row_id(6, "a")
