"""Faces that look unlike the other templates of their own subject."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gallery.errors import LooksLikeAnotherSubject, LooksUnlikeSubject
from gallery.galleries import Galleries
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, between, face

LIMIT = 0.2


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Galleries]:
    """Galleries in which a similarity below 0.2 is unlike, with an empty gallery "g"."""
    galleries = Galleries(
        SqliteStore(tmp_path / "strict.sqlite3"),
        contract=CONTRACT,
        dimension=DIMENSION,
        max_templates_per_subject=20,
        min_subject_similarity=LIMIT,
    )
    galleries.create_gallery("g", display_name="", threshold=0.5)
    yield galleries
    galleries.close()


def enroll(galleries: Galleries, *cosines: float) -> list[str]:
    """Enrol faces of ann with these cosines to the first axis, at right angles otherwise; return the template ids."""
    faces = [face(between(axis(0), axis(number), cosine)) for number, cosine in enumerate(cosines, start=1)]
    return [galleries.enroll("g", "ann", each).template.template_id for each in faces]


def test_a_face_unlike_two_templates_is_refused_with_the_evidence(strict: Galleries) -> None:
    first, second = enroll(strict, 0.9, 0.8)
    wrong = face(between(axis(1), axis(20), 0.4))
    with pytest.raises(LooksUnlikeSubject) as refused:
        strict.enroll("g", "ann", wrong)
    error = refused.value
    assert (error.gallery_id, error.subject_id, error.template_id, error.threshold) == ("g", "ann", first, LIMIT)
    assert list(error.similarities) == [first, second]
    assert error.similarities == pytest.approx({first: 0.4 * (1 - 0.9**2) ** 0.5, second: 0.0}, abs=1e-5)
    assert error.metadata["similarities"] == f"{first}={error.similarities[first]:.4f} {second}=0.0000"
    assert (error.metadata["templates"], error.metadata["subject_id"]) == ("2", "ann")
    assert strict.get_subject("g", "ann").template_count == 2
    with pytest.raises(LooksUnlikeSubject):
        strict.enroll("g", "ann", wrong, validate_only=True)
    assert strict.enroll("g", "ann", replace(wrong, accept_unlike=True)).subject.template_count == 3


def test_a_face_unlike_the_only_template_is_enrolled_with_a_warning(strict: Galleries) -> None:
    (first,) = enroll(strict, 1.0)
    answer = strict.enroll("g", "ann", face(axis(9)))
    assert not answer.already_enrolled
    assert answer.unlike == {first: 0.0}


def test_a_face_like_any_template_is_enrolled_and_the_others_are_named(strict: Galleries) -> None:
    """The first picture was the wrong one: every later one says so."""
    wrong = strict.enroll("g", "ann", face(axis(9))).template.template_id
    assert strict.enroll("g", "ann", face(axis(0))).unlike == {wrong: 0.0}
    for number in (1, 2):
        assert strict.enroll("g", "ann", face(between(axis(0), axis(number), 0.8))).unlike == {wrong: 0.0}


def test_similarities_at_the_limit_are_not_unlike(strict: Galleries) -> None:
    enroll(strict, 1.0, 1.0)
    assert not strict.enroll("g", "ann", face(between(axis(0), axis(9), 0.2001))).unlike
    with pytest.raises(LooksUnlikeSubject):
        strict.enroll("g", "ann", face(between(axis(0), axis(10), 0.1999) - axis(9)))


def test_a_new_subject_and_a_subject_whose_templates_are_gone_are_unlike_nobody(strict: Galleries) -> None:
    first, second = enroll(strict, 0.9, 0.8)
    assert strict.enroll("g", "", face(axis(9))).unlike == {}
    for template in (first, second):
        strict.delete_template("g", "ann", template)
    assert strict.enroll("g", "ann", face(axis(10))).unlike == {}


def test_a_template_that_is_there_already_is_not_refused(strict: Galleries) -> None:
    first, second = enroll(strict, 0.9, 0.8)
    odd = face(axis(9), request_id="r", digest="d", accept_lookalike=True)
    answer = strict.enroll("g", "ann", replace(odd, accept_unlike=True))
    for again in (odd, replace(odd, request_id="")):
        repeated = strict.enroll("g", "ann", again)
        assert repeated == replace(answer, already_enrolled=True)
        assert list(repeated.unlike) == sorted((first, second))


def test_another_subject_is_named_before_its_own(strict: Galleries) -> None:
    """Bob's picture among Ann's: that it is Bob says more than that it is not Ann."""
    enroll(strict, 0.9, 0.8)
    strict.enroll("g", "bob", face(axis(9)))
    wrong = face(between(axis(9), axis(10), 0.9))
    with pytest.raises(LooksLikeAnotherSubject):
        strict.enroll("g", "ann", wrong)
    with pytest.raises(LooksUnlikeSubject):
        strict.enroll("g", "ann", replace(wrong, accept_lookalike=True))


def test_of_concurrent_enrolments_of_strangers_only_two_pass(strict: Galleries) -> None:
    """The first has nothing to be compared with, and one template is too few to refuse the second."""
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def one(number: int) -> None:
        start.wait()
        try:
            outcomes.append("warned" if strict.enroll("g", "ann", face(axis(number))).unlike else "enrolled")
        except LooksUnlikeSubject:
            outcomes.append("refused")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["enrolled", *["refused"] * 6, "warned"]
