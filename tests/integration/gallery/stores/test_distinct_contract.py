"""Subjects that were told apart, in every store."""

from __future__ import annotations

import pytest

from gallery.errors import SubjectNotFound, TooManyDistinctPairs
from gallery.records.galleries import Gallery
from gallery.stores.base import Store
from tests.integration.gallery.stores.samples import enroll, new_gallery


def test_a_pair_is_stored_once_in_code_point_order_and_can_be_taken_back(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    for subject_id in ("\uff41", "😀", "a'b"):
        enroll(store, gallery, subject_id)
    assert store.distinct_pairs(here) == frozenset()
    for one, other in (("😀", "\uff41"), ("\uff41", "😀"), ("a'b", "😀")):
        store.set_distinct(here, one, other, is_distinct=True, limit=5)
    assert store.distinct_pairs(here) == {("\uff41", "😀"), ("a'b", "😀")}
    for _ in range(2):
        store.set_distinct(here, "😀", "a'b", is_distinct=False, limit=5)
    assert store.distinct_pairs(here) == {("\uff41", "😀")}


def test_a_pair_goes_with_a_subject_and_does_not_come_back_with_its_id(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    for subject_id in ("ann", "bob", "cid"):
        enroll(store, gallery, subject_id)
    store.set_distinct(here, "ann", "bob", is_distinct=True, limit=5)
    store.set_distinct(here, "bob", "cid", is_distinct=True, limit=5)
    store.delete_subject(here, "ann", etag="")
    enroll(store, gallery, "ann")
    assert store.distinct_pairs(here) == {("bob", "cid")}


def test_pairs_are_those_of_one_gallery_and_go_with_it(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    other = new_gallery()
    store.create_gallery(other)
    for each in (gallery, other):
        enroll(store, each, "ann")
        enroll(store, each, "bob")
    store.set_distinct(here, "ann", "bob", is_distinct=True, limit=5)
    assert store.distinct_pairs(other.gallery_id) == frozenset()
    store.delete_gallery(here, force=True, etag="")
    store.create_gallery(gallery)
    enroll(store, gallery, "ann")
    enroll(store, gallery, "bob")
    assert store.distinct_pairs(here) == frozenset()
    store.scrub()


def test_more_pairs_than_allowed_and_missing_subjects_are_refused(store: Store, gallery: Gallery) -> None:
    here = gallery.gallery_id
    for subject_id in ("ann", "bob", "cid"):
        enroll(store, gallery, subject_id)
    store.set_distinct(here, "ann", "bob", is_distinct=True, limit=1)
    store.set_distinct(here, "bob", "ann", is_distinct=True, limit=1)  # no new one
    with pytest.raises(TooManyDistinctPairs):
        store.set_distinct(here, "ann", "cid", is_distinct=True, limit=1)
    with pytest.raises(SubjectNotFound):
        store.set_distinct(here, "ann", "nobody", is_distinct=True, limit=5)
    assert store.distinct_pairs(here) == {("ann", "bob")}
