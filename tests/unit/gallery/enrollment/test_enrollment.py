"""Enrolment of faces: templates, repeated requests, and look-alikes."""

from __future__ import annotations

import threading
from dataclasses import replace
from uuid import UUID

import pytest

from gallery.errors import (
    LooksLikeAnotherSubject,
    RequestIdReused,
    SubjectNotFound,
    TooManyTemplates,
)
from gallery.galleries import Galleries
from gallery.records.galleries import GalleryChange
from tests.unit.gallery.samples import BOX, axis, best_match, between, face


def test_an_enrolled_face_can_be_searched_and_read(galleries: Galleries) -> None:
    enrolled = galleries.enroll("g", "ann", face(3 * axis(0), name="Ann"))
    assert not enrolled.already_enrolled
    assert galleries.get_subject("g", "ann") == enrolled.subject
    assert galleries.list_templates("g", "ann", page_size=5).items == (enrolled.template,)
    assert UUID(enrolled.template.template_id).version == 7
    assert (enrolled.subject.display_name, enrolled.subject.template_count) == ("Ann", 1)
    assert (enrolled.template.box, enrolled.template.quality) == (BOX, 0.75)
    (answer,) = galleries.search("g", 0.1 * axis(0)[None], top_k=1)
    (candidate,) = answer.candidates
    assert (candidate.subject_id, candidate.display_name, candidate.similarity) == ("ann", "Ann", 1.0)
    assert candidate.template_id == enrolled.template.template_id
    assert answer.templates_compared == 1


def test_enrolment_does_not_change_etags(galleries: Galleries) -> None:
    first = galleries.enroll("g", "ann", face(axis(0))).subject
    second = galleries.enroll("g", "ann", face(axis(1))).subject
    assert first.etag == second.etag
    galleries.update_gallery("g", GalleryChange(threshold=0.6), etag=galleries.get_gallery("g").etag)


def test_a_subject_without_an_id_gets_a_uuid7_each_time(galleries: Galleries) -> None:
    one = galleries.enroll("g", "", face(axis(0))).subject.subject_id
    other = galleries.enroll("g", "", face(axis(1))).subject.subject_id
    assert UUID(one).version == UUID(other).version == 7
    assert one != other


def test_an_existing_subject_keeps_its_name(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0), name="Ann"))
    assert galleries.enroll("g", "ann", face(axis(1), name="Other")).subject.display_name == "Ann"


def test_a_face_of_a_picture_is_enrolled_once(galleries: Galleries) -> None:
    first = galleries.enroll("g", "ann", face(axis(0), picture="p"))
    again = galleries.enroll("g", "ann", face(axis(1), picture="p", box=(12.0, 22.0, 112.0, 142.0)))
    assert again.already_enrolled
    assert (again.subject, again.template) == (first.subject, first.template)
    assert galleries.get_gallery("g").template_count == 1


def test_another_face_of_a_picture_is_another_template(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0), picture="p"))
    other = galleries.enroll("g", "ann", face(axis(1), picture="p", box=(200.0, 20.0, 300.0, 140.0)))
    assert not other.already_enrolled
    assert other.subject.template_count == 2


def test_a_picture_of_another_subject_is_another_template(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0), picture="p"))
    assert not galleries.enroll("g", "bob", face(axis(1), picture="p")).already_enrolled


def test_a_repeated_request_gets_the_same_answer(galleries: Galleries) -> None:
    request = face(axis(0), request_id="r", digest="d")
    first = galleries.enroll("g", "", request)
    again = galleries.enroll("g", "", request)
    assert not first.already_enrolled
    assert again == replace(first, already_enrolled=True)
    assert galleries.get_gallery("g").template_count == 1


def test_a_request_id_is_refused_for_another_request(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0), request_id="r", digest="d"))
    with pytest.raises(RequestIdReused) as refused:
        galleries.enroll("g", "bob", face(axis(1), request_id="r", digest="other"))
    assert (refused.value.gallery_id, refused.value.request_id) == ("g", "r")
    galleries.create_gallery("h", display_name="", threshold=0.5)
    assert not galleries.enroll("h", "bob", face(axis(1), request_id="r", digest="other")).already_enrolled


def test_a_request_answered_with_an_existing_template_is_remembered(galleries: Galleries) -> None:
    first = galleries.enroll("g", "ann", face(axis(0)))
    for _ in range(2):
        met = galleries.enroll("g", "ann", face(axis(0), request_id="r", digest="d"))
        assert met == replace(first, already_enrolled=True)
    with pytest.raises(RequestIdReused):
        galleries.enroll("g", "bob", face(axis(1), request_id="r", digest="other"))


def test_a_request_is_deleted_with_its_template(galleries: Galleries) -> None:
    first = galleries.enroll("g", "ann", face(axis(0), request_id="r", digest="d"))
    galleries.delete_template("g", "ann", first.template.template_id)
    again = galleries.enroll("g", "bob", face(axis(1), request_id="r", digest="other"))
    assert not again.already_enrolled


def test_a_lookalike_of_another_subject_is_refused(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    near = face(between(axis(0), axis(1), 0.6))
    for subject_id in ("bob", ""):
        with pytest.raises(LooksLikeAnotherSubject) as refused:
            galleries.enroll("g", subject_id, near)
        assert (refused.value.gallery_id, refused.value.subject_id) == ("g", "ann")
        assert refused.value.similarity == pytest.approx(0.6)
        assert refused.value.threshold == 0.5
    with pytest.raises(SubjectNotFound):
        galleries.get_subject("g", "bob")
    assert galleries.enroll("g", "bob", replace(near, accept_lookalike=True)).subject.subject_id == "bob"


def test_a_face_below_the_threshold_is_no_lookalike(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    assert galleries.enroll("g", "bob", face(between(axis(0), axis(1), 0.49)))


def test_a_face_most_similar_to_its_own_subject_is_no_lookalike(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "bob", face(axis(1)))
    with pytest.raises(LooksLikeAnotherSubject):
        galleries.enroll("g", "bob", face(between(axis(0), axis(1), 0.75)))
    enrolled = galleries.enroll("g", "bob", face(between(axis(1), axis(0), 0.75)))
    assert enrolled.subject.template_count == 2


def test_a_face_as_similar_to_its_own_subject_as_to_another_is_no_lookalike(galleries: Galleries) -> None:
    for subject_id in ("ann", "bob"):
        galleries.enroll("g", subject_id, face(axis(0), accept_lookalike=True))
    answer = galleries.enroll("g", "bob", face(between(axis(0), axis(1), 0.9)))
    assert answer.subject.template_count == 2


def test_templates_per_subject_are_limited(galleries: Galleries) -> None:
    for number in range(5):
        galleries.enroll("g", "ann", face(axis(number)))
    with pytest.raises(TooManyTemplates) as refused:
        galleries.enroll("g", "ann", face(axis(6)))
    assert (refused.value.subject_id, refused.value.limit) == ("ann", 5)
    assert galleries.enroll("g", "ann", face(axis(4))).already_enrolled


def test_a_validated_enrolment_stores_nothing(galleries: Galleries) -> None:
    request = face(axis(0), name="Ann", request_id="r", digest="d")
    answer = galleries.enroll("g", "ann", request, validate_only=True)
    assert (answer.template.template_id, answer.already_enrolled) == ("", False)
    assert (answer.subject.display_name, answer.subject.template_count) == ("Ann", 1)
    assert galleries.get_gallery("g").subject_count == 0
    assert best_match(galleries, axis(0)) == ""
    galleries.enroll("g", "bob", replace(request, request_digest="other"))
    with pytest.raises(LooksLikeAnotherSubject):
        galleries.enroll("g", "ann", face(axis(0)), validate_only=True)
    again = galleries.enroll("g", "bob", face(axis(0), request_id="q"), validate_only=True)
    assert (again.already_enrolled, again.template.template_id) == (True, "")
    galleries.enroll("g", "ann", face(axis(1), request_id="q", digest="not the same"))


def test_concurrent_enrolments_cannot_both_pass_the_lookalike_check(galleries: Galleries) -> None:
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def enroll(number: int) -> None:
        start.wait()
        try:
            galleries.enroll("g", f"s{number}", face(axis(0) + 0.01 * axis(number + 1)))
            outcomes.append("enrolled")
        except LooksLikeAnotherSubject:
            outcomes.append("refused")

    threads = [threading.Thread(target=enroll, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["enrolled"] + ["refused"] * 7
