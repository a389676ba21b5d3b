"""What every store must do with subjects and templates."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from gallery.errors import (
    EtagMismatch,
    SubjectNotFound,
    TemplateNotFound,
)
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery
from gallery.records.subjects import renaming
from gallery.stores.base import AddedTemplate, EnrollmentQuestion, EnrollmentRequest, Store
from tests.integration.gallery.stores.samples import (
    NOW,
    ODD_IDS,
    add_template,
    all_pages,
    enroll,
    enrollment_state,
    new_gallery,
    new_subject,
    new_template,
    template_ids,
    vectors,
)
from tests.waiting import until


def test_every_method_reports_a_missing_subject(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery, "another")
    here = gallery.gallery_id
    asked: list[Callable[[], object]] = [
        lambda: store.subject(here, "ann"),
        lambda: store.update_subject(here, "ann", renaming(""), etag="", new_etag="x", time=NOW),
        lambda: store.delete_subject(here, "ann", etag=""),
        lambda: store.templates(here, "ann", after="", limit=1),
        lambda: store.templates_of_picture(here, "ann", "p"),
        lambda: add_template(store, new_template(gallery), vectors(1)[0], new_subject=None, request=None, crop=None),
        lambda: store.delete_template(here, "ann", "t"),
    ]
    for ask in asked:
        with pytest.raises(SubjectNotFound):
            ask()
    assert enrollment_state(store, here, "ann", picture_sha256="p", request_id="r").subject is None


def test_several_templates_are_added_at_once(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery, "ann", picture="first")
    here = gallery.gallery_id
    templates = [new_template(gallery, each, crop=each == "cid") for each in ("ann", "bob", "cid")]
    requests = [None, EnrollmentRequest("r", "d"), None]
    crop = bytes(range(256))
    store.add_templates(
        here,
        [
            AddedTemplate(
                template,
                embedding,
                None if template.subject_id == "ann" else new_subject(gallery, template.subject_id),
                request,
                crop if template.has_crop else None,
            )
            for template, embedding, request in zip(templates, vectors(3, 1), requests, strict=True)
        ],
    )
    faces = {
        face.template.template_id: face
        for face in store.faces(here, after=("", ""), limit=10)
        if face.template is not None
    }
    for template, embedding in zip(templates, vectors(3, 1), strict=True):
        stored = faces[template.template_id]
        assert stored.template == template
        assert stored.subject.subject_id == template.subject_id
        assert stored.crop == (crop if template.has_crop else None)
        assert stored.embedding is not None
        np.testing.assert_allclose(stored.embedding, embedding, atol=1e-6)
    assert store.template_of_request(here, "r") == (templates[1], "d")
    assert [store.subject(here, each).template_count for each in ("ann", "bob", "cid")] == [2, 1, 1]
    assert (store.gallery(here).subject_count, store.gallery(here).template_count) == (3, 4)


def test_several_states_are_read_at_once(store: Store, gallery: Gallery) -> None:
    ann = enroll(store, gallery, "ann", picture="a", request=EnrollmentRequest("r a", "d"))
    enroll(store, gallery, "bob", picture="b")
    asked = [("ann", "a", ""), ("ann", "b", ""), ("bob", "b", "r a"), ("", "a", ""), ("cid", "a", "r c")]
    states = store.enrollment_states(gallery.gallery_id, [EnrollmentQuestion(*each) for each in asked])
    assert [state.subject and state.subject.subject_id for state in states] == ["ann", "ann", "bob", None, None]
    assert [len(state.templates_of_picture) for state in states] == [1, 0, 1, 0, 0]
    assert [state.answered for state in states] == [None, None, (ann, "d"), None, None]


def test_a_template_is_stored_with_its_subject_and_crop(store: Store, gallery: Gallery) -> None:
    crop = bytes(np.random.default_rng(1).integers(0, 256, 38_000, dtype=np.uint8))
    template = enroll(store, gallery, crop=crop)
    assert store.templates(gallery.gallery_id, "ann", after="", limit=10) == [template]
    assert store.subject(gallery.gallery_id, "ann") == replace(new_subject(gallery), template_count=1)
    (face,) = store.faces(gallery.gallery_id, after=("", ""), limit=10)
    assert (replace(face.subject, template_count=1), face.template, face.crop) == (
        store.subject(gallery.gallery_id, "ann"),
        template,
        crop,
    )
    assert face.embedding is not None
    assert face.embedding.tobytes() == vectors(1)[0].tobytes()
    counted = store.gallery(gallery.gallery_id)
    assert (counted.subject_count, counted.template_count) == (1, 1)


def test_ids_of_any_characters_are_listed_in_code_point_order(store: Store, gallery: Gallery) -> None:
    for seed, subject_id in enumerate(sorted(ODD_IDS, key=lambda each: each[::-1])):
        enroll(store, gallery, subject_id, seed=seed)
    here = gallery.gallery_id

    def page(after: str) -> list[str]:
        return [each.subject_id for each in store.subjects(here, after=after, limit=5)]

    assert all_pages(page) == sorted(ODD_IDS) == list(ODD_IDS)
    for subject_id in ODD_IDS:
        assert store.subject(here, subject_id) == replace(new_subject(gallery, subject_id), template_count=1)
        assert len(store.templates(here, subject_id, after="", limit=5)) == 1


def test_templates_of_a_subject_are_listed_by_id(store: Store, gallery: Gallery) -> None:
    made = [enroll(store, gallery, picture=f"p{number}", seed=number) for number in range(7)]
    enroll(store, gallery, "bob")

    def page(after: str) -> list[str]:
        return template_ids(store.templates(gallery.gallery_id, "ann", after=after, limit=3))

    assert all_pages(page) == template_ids(made)
    assert [each.template_count for each in store.subjects(gallery.gallery_id, after="", limit=5)] == [7, 1]


def test_templates_are_found_by_subject_and_picture(store: Store, gallery: Gallery) -> None:
    one, other = (enroll(store, gallery, picture="p", seed=seed) for seed in range(2))
    enroll(store, gallery, picture="another")
    enroll(store, gallery, "bob", picture="p")
    assert template_ids(store.templates_of_picture(gallery.gallery_id, "ann", "p")) == template_ids([one, other])
    known = enrollment_state(store, gallery.gallery_id, "ann", picture_sha256="p", request_id="")
    assert (known.subject, template_ids(known.templates_of_picture)) == (
        store.subject(gallery.gallery_id, "ann"),
        template_ids([one, other]),
    )
    assert known.answered is None


def test_a_request_is_stored_as_long_as_its_template(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    template = enroll(store, gallery, request=EnrollmentRequest('r "1"', "digest"))
    store.add_request(template, EnrollmentRequest("r2", "other digest"))
    for request_id, digest in (('r "1"', "digest"), ("r2", "other digest")):
        assert store.template_of_request(here, request_id) == (template, digest)
        assert enrollment_state(store, here, "ann", picture_sha256="", request_id=request_id).answered == (
            template,
            digest,
        )
        assert enrollment_state(store, here, "bob", picture_sha256="", request_id=request_id).answered == (
            template,
            digest,
        )
    assert store.requests_of_template(here, template.template_id) == ['r "1"', "r2"]
    assert store.requests_of_template(here, "another") == []
    assert store.template_of_request(here, "r3") is None
    with pytest.raises(TemplateNotFound):
        store.add_request(new_template(gallery), EnrollmentRequest("r4", "d"))
    store.delete_template(here, "ann", template.template_id)
    assert store.template_of_request(here, 'r "1"') is None
    assert store.template_of_request(here, "r2") is None


def test_a_request_belongs_to_one_gallery(store: Store, gallery: Gallery) -> None:
    other = new_gallery()
    store.create_gallery(other)
    enroll(store, gallery, request=EnrollmentRequest("r", "d"))
    assert store.template_of_request(other.gallery_id, "r") is None
    assert not store.subjects(other.gallery_id, after="", limit=1)


def test_a_subject_is_renamed(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery)
    before = store.subject(gallery.gallery_id, "ann")
    at = NOW + timedelta(hours=1)
    renamed = store.update_subject(
        gallery.gallery_id, "ann", renaming('Ann "A" 🎉'), etag=before.etag, new_etag="e2", time=at
    )
    assert renamed == replace(before, display_name='Ann "A" 🎉', etag="e2", update_time=at)
    with pytest.raises(EtagMismatch):
        store.update_subject(gallery.gallery_id, "ann", renaming("no"), etag=before.etag, new_etag="e3", time=at)
    assert store.subject(gallery.gallery_id, "ann") == renamed


def test_a_subject_is_deleted_with_its_templates_and_requests(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    enroll(store, gallery, request=EnrollmentRequest("r", "d"), crop=b"crop")
    enroll(store, gallery, picture="second", seed=1)
    kept = enroll(store, gallery, "bob")
    with pytest.raises(EtagMismatch):
        store.delete_subject(here, "ann", etag="another")
    assert store.delete_subject(here, "ann", etag="etag of ann") == 2
    store.scrub()
    with pytest.raises(SubjectNotFound):
        store.subject(here, "ann")
    assert store.template_of_request(here, "r") is None
    assert [face.template for face in store.faces(here, after=("", ""), limit=9)] == [kept]
    counted = store.gallery(here)
    assert (counted.subject_count, counted.template_count) == (1, 1)
    enroll(store, gallery)
    assert store.subject(here, "ann").template_count == 1


def test_a_template_is_deleted_and_its_subject_stays(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    template = enroll(store, gallery, crop=b"crop")
    bobs = enroll(store, gallery, "bob")
    for subject_id, template_id in (("ann", bobs.template_id), ("ann", "none")):
        with pytest.raises(TemplateNotFound):
            store.delete_template(here, subject_id, template_id)
    store.delete_template(here, "ann", template.template_id)
    store.scrub()
    with pytest.raises(TemplateNotFound):
        store.delete_template(here, "ann", template.template_id)
    assert store.subject(here, "ann").template_count == 0
    assert not store.templates(here, "ann", after="", limit=1)
    lines = [(face.subject.subject_id, face.template) for face in store.faces(here, after=("", ""), limit=9)]
    assert lines == [("ann", None), ("bob", bobs)]


def test_every_template_is_listed_once_with_its_embedding(store: Store, gallery: Gallery) -> None:
    made = {
        enroll(store, gallery, f"s{number % 3}", picture=f"p{number}", seed=number).template_id: number
        for number in range(8)
    }
    found: dict[str, tuple[str, str, bytes]] = {}
    after = ""
    while len(some := store.embedded_templates(gallery.gallery_id, after=after, limit=3)):
        assert len(some) <= 3
        assert some.embeddings.dtype == np.float32
        for row, template_id in enumerate(some.template_ids):
            assert template_id not in found
            found[template_id] = (some.subject_ids[row], some.display_names[row], some.embeddings[row].tobytes())
        after = some.template_ids[-1]
    assert found == {
        template_id: (f"s{number % 3}", "Ann", vectors(1, number)[0].tobytes()) for template_id, number in made.items()
    }


def test_faces_are_listed_by_subject_then_template(store: Store, gallery: Gallery) -> None:
    rng = np.random.default_rng(4)
    wanted = []
    for number, subject_id in enumerate(ODD_IDS):
        count = int(rng.integers(0, 4))
        made = [enroll(store, gallery, subject_id, picture=f"{number} {each}", seed=each) for each in range(count)]
        if not count:
            gone = enroll(store, gallery, subject_id)
            store.delete_template(gallery.gallery_id, subject_id, gone.template_id)
        wanted += [(subject_id, each.template_id) for each in made] or [(subject_id, "")]
    for limit in (1, 4, 100):
        found: list[tuple[str, str]] = []
        while some := store.faces(gallery.gallery_id, after=found[-1] if found else ("", ""), limit=limit):
            assert len(some) <= limit
            found += [(face.subject.subject_id, face.template.template_id if face.template else "") for face in some]
        assert found == wanted


def test_embeddings_are_listed_by_subject_from_any_place(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    subjects = ("zoe", "😀", "ann", "zoe", "ann", "\uff41")
    made = [enroll(store, gallery, subject_id, seed=seed) for seed, subject_id in enumerate(subjects)]
    embeddings = {each.template_id: vectors(1, seed)[0] for seed, each in enumerate(made)}
    gone = enroll(store, gallery, "without")
    store.delete_template(here, "without", gone.template_id)
    for limit in (1, 4, 100):
        listed: list[tuple[str, str]] = []
        while len(page := store.embedded_by_subject(here, after=listed[-1] if listed else ("", ""), limit=limit)):
            listed += zip(page.subject_ids, page.template_ids, strict=True)
            assert all(
                np.allclose(embedding, embeddings[template_id], atol=1e-6)
                for template_id, embedding in zip(page.template_ids, page.embeddings, strict=True)
            )
        assert listed == sorted((each.subject_id, each.template_id) for each in made)
    after_one_that_is_gone = store.embedded_by_subject(here, after=("without", gone.template_id), limit=1)
    assert list(after_one_that_is_gone.subject_ids) == ["zoe"]


def test_threads_may_enrol_concurrently(store: Store, gallery: Gallery) -> None:
    def enrol(number: int) -> str:
        return enroll(store, gallery, f"s{number}", picture=f"p{number}", seed=number).template_id

    with ThreadPoolExecutor(4) as threads:
        made = set(threads.map(enrol, range(12)))
    found = store.embedded_templates(gallery.gallery_id, after="", limit=50)
    assert set(found.template_ids) == made
    assert store.gallery(gallery.gallery_id).subject_count == 12


def test_numbers_of_any_type_are_stored_as_floats(store: Store) -> None:
    """Faces of callers in Python, which are enrolled together."""
    galleries = Galleries(store, contract="contract", dimension=32, max_templates_per_subject=5)
    here = galleries.create_gallery("", display_name="", threshold=0.99).gallery_id
    opened = galleries._registry.find(here)
    numbers: dict[str, tuple[Any, Any]] = {
        "int": ((0, 1, 20, 30), 1),
        "float": ((0.0, 0.5, 20.0, 30.0), 0.25),
        "float32": (tuple(np.array([0, 0.5, 20, 30], np.float32)), np.float32(0.5)),
        "int64": (tuple(np.array([0, 1, 20, 30])), np.int64(1)),
    }
    with ThreadPoolExecutor(len(numbers)) as threads:
        with opened.change_lock:
            waiting = []
            for (subject_id, (box, quality)), embedding in zip(numbers.items(), vectors(len(numbers)), strict=True):
                face = Enrollment(embedding, "contract", subject_id, box, quality)
                waiting.append(threads.submit(galleries.enroll, here, subject_id, face))
                until(lambda: opened.enrollments.waiting == len(waiting))
        answers = [each.result().template for each in waiting]
    for answer, (subject_id, (box, quality)) in zip(answers, numbers.items(), strict=True):
        (template,) = store.templates(here, subject_id, after="", limit=5)
        for each in (answer, template):
            assert (each.box, each.quality) == (box, quality)
            assert {type(number) for number in (*each.box, each.quality)} == {float}
