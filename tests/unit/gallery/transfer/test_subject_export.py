"""Everything about one person: page by page, and nothing of the people before and after."""

from __future__ import annotations

import pytest

from gallery.errors import SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.templates import StoredFace
from gallery.stores.base import EnrollmentRequest
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.transfer.samples import CONTRACT, face_of, store_gallery, subject_of


def test_all_templates_of_a_person_are_exported_and_none_of_another(galleries: Galleries, store: SqliteStore) -> None:
    own = [face_of(number, subject_of("b")) for number in range(20)]
    others = [face_of(100, subject_of("a")), *(face_of(200 + number, subject_of("c")) for number in range(20))]
    gallery_id = store_gallery(store, [others[0], *own, *others[1:]]).gallery_id
    first = own[0].template
    assert first is not None
    store.add_request(first, EnrollmentRequest("r2", "d"))
    store.add_request(first, EnrollmentRequest("r1", "d"))
    subject, exported = galleries.transfer.export_subject(gallery_id, "b")
    found = list(exported)
    assert (subject.subject_id, subject.template_count) == ("b", 20)
    assert [each.template for each in found] == [face.template for face in own]
    assert [each.crop for each in found] == [face.crop for face in own]
    for each, face in zip(found, own, strict=True):
        assert face.embedding is not None
        ((contract, embedding),) = each.embeddings.items()
        assert (contract, embedding.tolist()) == (CONTRACT, face.embedding.tolist())
    assert [each.request_ids for each in found] == [("r1", "r2"), *[()] * 19]


def test_a_person_without_templates_is_exported_alone(galleries: Galleries, store: SqliteStore) -> None:
    faces = [StoredFace(subject_of("a"), None, None, None), face_of(1, subject_of("b"))]
    gallery_id = store_gallery(store, faces).gallery_id
    subject, exported = galleries.transfer.export_subject(gallery_id, "a")
    assert (subject.subject_id, list(exported)) == ("a", [])
    with pytest.raises(SubjectNotFound):
        galleries.transfer.export_subject(gallery_id, "nobody")
