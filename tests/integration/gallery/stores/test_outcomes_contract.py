"""What clients said about answers, in every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gallery.errors import GalleryNotFound, SubjectNotFound
from gallery.records.galleries import Gallery
from gallery.records.identifications import Decision
from gallery.records.outcomes import GivenAnswer, Outcome, Truth
from gallery.stores.base import Store
from tests.integration.gallery.stores.samples import NOW, enroll, new_gallery

LATER = NOW + timedelta(days=3)


def outcome(number: int, *, subject_id: str = "ann", truth: Truth = Truth.UNSAID, true_id: str = "") -> Outcome:
    answer = GivenAnswer(
        bytes([number] * 12), LATER, Decision.MATCH, subject_id, 0.75, None, 0.5, "door ☕", 0.125, "c" * 64
    )
    return Outcome("", answer, truth is Truth.UNSAID, truth, true_id, LATER + timedelta(seconds=number))


def said(store: Store, gallery: Gallery) -> list[Outcome]:
    """The outcomes of a gallery, read by pages of two, in the order of their answers."""
    found: list[Outcome] = []
    while page := store.outcomes.outcomes(gallery.gallery_id, after=found[-1].outcome_id if found else "", limit=2):
        found += page
    return sorted(found, key=lambda each: each.answer.nonce)


def test_the_last_word_about_an_answer_is_kept(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery, "ann")
    enroll(store, gallery, "bob", seed=1)
    wanted = [outcome(number) for number in range(3)]
    wanted[2] = replace(wanted[2], answer=replace(wanted[2].answer, contract=""))
    store.outcomes.report(gallery.gallery_id, outcome(1, truth=Truth.SUBJECT, true_id="bob"), most=10)
    for each in wanted:
        store.outcomes.report(gallery.gallery_id, each, most=10)
    found = said(store, gallery)
    assert [replace(each, outcome_id="") for each in found] == wanted
    assert len({each.outcome_id for each in found}) == 3


def test_outcomes_name_nobody_who_is_deleted_or_was_enrolled_later(store: Store, gallery: Gallery) -> None:
    for number, subject_id in enumerate(("ann", "bob", "cleo")):
        enroll(store, gallery, subject_id, seed=number)
    store.outcomes.report(gallery.gallery_id, outcome(1), most=10)
    store.outcomes.report(gallery.gallery_id, outcome(2, truth=Truth.SUBJECT, true_id="bob"), most=10)
    store.outcomes.report(gallery.gallery_id, outcome(3, subject_id="cleo"), most=10)
    early = outcome(4, subject_id="cleo")
    early = replace(early, answer=replace(early.answer, time=NOW - timedelta(days=1)))
    store.outcomes.report(gallery.gallery_id, early, most=10)
    store.delete_subject(gallery.gallery_id, "bob", etag="")
    found = said(store, gallery)
    assert [each.is_forgotten for each in found] == [False, True, False, True]
    assert [each.answer.subject_id for each in found] == ["ann", "", "cleo", ""]
    assert (found[1].truth, found[1].truth_subject_id, found[1].answer.similarity) == (Truth.SUBJECT, "", None)
    enroll(store, gallery, "bob", seed=9)
    assert [each.is_forgotten for each in said(store, gallery)] == [False, True, False, True]


def test_no_more_outcomes_are_kept_than_wanted_and_the_oldest_go(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery)
    for number in range(6):
        store.outcomes.report(gallery.gallery_id, outcome(number), most=4)
    kept = [each.answer.nonce[0] for each in said(store, gallery)]
    assert len(kept) <= 4
    assert kept == list(range(6))[-len(kept) :]


def test_a_caller_with_many_reports_displaces_its_own(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery)
    store.outcomes.report(gallery.gallery_id, outcome(0), reporter="key:honest", most=4)
    for number in range(1, 9):
        store.outcomes.report(gallery.gallery_id, outcome(number), reporter="key:flooding", most=4)
    kept = [each.answer.nonce[0] for each in said(store, gallery)]
    assert (kept[0], kept[-1], len(kept) <= 4) == (0, 8, True)


def test_what_cannot_be_stored_changes_nothing(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery)
    with pytest.raises(SubjectNotFound):
        store.outcomes.report(gallery.gallery_id, outcome(1, truth=Truth.SUBJECT, true_id="nobody"), most=10)
    with pytest.raises(GalleryNotFound):
        store.outcomes.report("no-such-gallery", outcome(1), most=10)
    assert said(store, gallery) == []


def test_each_gallery_has_a_key_which_stays(store: Store, gallery: Gallery) -> None:
    other = new_gallery()
    store.create_gallery(other)
    (key,) = store.outcomes.answer_keys(gallery.gallery_id)
    assert len(key) == 32
    assert list(store.outcomes.answer_keys(gallery.gallery_id)) == [key]
    assert list(store.outcomes.answer_keys(other.gallery_id)) != [key]
    with pytest.raises(GalleryNotFound):
        store.outcomes.answer_keys("no-such-gallery")
