"""What every store must do with imports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gallery.errors import (
    GalleryExists,
    GalleryNotFound,
)
from gallery.stores.base import Store
from tests.integration.gallery.stores.samples import (
    CALIBRATION,
    faces_to_import,
    new_gallery,
)


def test_a_gallery_is_imported_with_its_calibration(store: Store) -> None:
    wanted = replace(new_gallery(), calibration=CALIBRATION)
    importing = store.begin_import(wanted)
    assert importing.commit().calibration == CALIBRATION
    assert store.gallery(wanted.gallery_id).calibration == CALIBRATION


def test_an_import_becomes_visible_when_it_is_committed(store: Store) -> None:
    gallery = replace(new_gallery(), subject_count=9, template_count=99)
    faces = faces_to_import(gallery, 20) + faces_to_import(gallery, 10, start=20)[1:]
    importing = store.begin_import(gallery)
    importing.add(faces[:13])
    importing.add(faces[13:])
    with pytest.raises(GalleryNotFound):
        store.gallery(gallery.gallery_id)
    made = importing.commit()
    assert made == store.gallery(gallery.gallery_id)
    assert (made.subject_count, made.template_count, made.etag) == (12, 29, "etag-1")
    importing.abort()
    kept = store.faces(gallery.gallery_id, after=("", ""), limit=100)
    assert len(kept) == len(faces)
    for one, other in zip(kept, sorted(faces, key=lambda face: face.key), strict=True):
        assert (replace(one.subject, template_count=0), one.template, one.crop) == (
            other.subject,
            other.template,
            other.crop,
        )
        assert (one.embedding is None) == (other.embedding is None)
        if one.embedding is not None and other.embedding is not None:
            assert one.embedding.tobytes() == other.embedding.tobytes()


def test_people_of_an_import_are_told_apart_with_it_or_not_at_all(store: Store) -> None:
    gallery = new_gallery()
    pairs = [("s00000", "s00001"), ("s00001", "without 0")]
    aborted, importing = store.begin_import(gallery), store.begin_import(gallery)
    for each in (aborted, importing):
        each.add(faces_to_import(gallery, 6))
        each.add_distinct(pairs)
    aborted.abort()
    importing.commit()
    assert store.distinct_pairs(gallery.gallery_id) == set(pairs)
    store.delete_subject(gallery.gallery_id, "s00000", etag="")
    assert store.distinct_pairs(gallery.gallery_id) == set(pairs[1:])


def test_an_aborted_import_leaves_nothing(store: Store) -> None:
    gallery = new_gallery()
    importing = store.begin_import(gallery)
    importing.add(faces_to_import(gallery, 5))
    importing.abort()
    importing.abort()
    with pytest.raises(GalleryNotFound):
        store.gallery(gallery.gallery_id)
    store.create_gallery(gallery)
    assert not store.faces(gallery.gallery_id, after=("", ""), limit=10)
    assert store.gallery(gallery.gallery_id).template_count == 0


def test_an_import_is_refused_if_its_id_was_taken_in_the_meantime(store: Store) -> None:
    gallery = new_gallery()
    importing = store.begin_import(gallery)
    importing.add(faces_to_import(gallery, 3))
    store.create_gallery(replace(gallery, display_name="the first"))
    with pytest.raises(GalleryExists):
        importing.commit()
    importing.abort()
    kept = store.gallery(gallery.gallery_id)
    assert (kept.display_name, kept.template_count) == ("the first", 0)


def test_two_galleries_may_have_the_same_template_ids(store: Store) -> None:
    for _ in range(2):
        gallery = new_gallery()
        importing = store.begin_import(gallery)
        importing.add(faces_to_import(gallery, 4))
        importing.commit()
        assert store.gallery(gallery.gallery_id).template_count == 4
        found = store.embedded_templates(gallery.gallery_id, after="", limit=9)
        assert sorted(found.template_ids) == [f"t{number:06}" for number in range(4)]
