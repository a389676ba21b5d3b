"""Enrolments that wait for a gallery are stored together; each is checked as if the others had come before it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import pytest

from gallery.enrollment.waiting_face import WaitingFace
from gallery.errors import (
    ConsentRequired,
    GalleryError,
    InvalidEmbedding,
    LooksLikeAnotherSubject,
    StorageError,
)
from gallery.galleries import Galleries
from gallery.index.memory_index import MemoryIndex
from gallery.opened import registry
from gallery.opened.open_gallery import OpenGallery
from gallery.records.enrollments import Enrolled, Enrollment
from gallery.records.galleries import GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.templates import EmbeddedTemplates
from gallery.stores.base import AddedTemplate
from gallery.stores.feed import Hold
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, best_match, between, face
from tests.waiting import until

Asked = tuple[str, Enrollment]


def enrolled_together(galleries: Galleries, asked: Sequence[Asked]) -> list[Enrolled | GalleryError]:
    """Enrol faces that come, in this order, while the gallery is held."""
    opened = galleries._registry.find("g")
    waiting: list[Future[Enrolled]] = []
    with ThreadPoolExecutor(len(asked)) as threads, opened.change_lock:
        for each in asked:
            waiting.append(threads.submit(galleries.enroll, "g", *each))
            until(lambda: opened.enrollments.waiting + sum(one.done() for one in waiting) == len(waiting))
    return [_outcome(each.result) for each in waiting]


def _outcome(result: Callable[[], Enrolled]) -> Enrolled | GalleryError:
    try:
        return result()
    except GalleryError as error:
        return error.with_traceback(None)


def names(outcomes: Sequence[Enrolled | GalleryError]) -> list[str]:
    """Return who was enrolled, or the name of the error."""
    return [each.subject.subject_id if isinstance(each, Enrolled) else type(each).__name__ for each in outcomes]


def test_strangers_are_all_enrolled_and_found(galleries: Galleries) -> None:
    outcomes = enrolled_together(galleries, [(f"s{each}", face(axis(each))) for each in range(20)])
    assert names(outcomes) == [f"s{each}" for each in range(20)]
    for each in range(20):
        assert best_match(galleries, axis(each)) == f"s{each}"
    assert galleries.get_gallery("g").template_count == 20


def test_of_several_pictures_of_one_person_the_first_is_enrolled(galleries: Galleries) -> None:
    alike = [between(axis(1), axis(each), 0.95) for each in range(2, 7)]
    outcomes = enrolled_together(galleries, [(f"s{each}", face(one)) for each, one in enumerate(alike)])
    assert names(outcomes) == ["s0"] + ["LooksLikeAnotherSubject"] * 4
    assert galleries.get_gallery("g").subject_count == 1


def test_a_second_transaction_that_cannot_begin_fails_only_those_of_it(galleries: Galleries) -> None:
    """A second picture of a person is stored after the first one, which has its answer whatever happens then."""
    begin = galleries._registry.in_one_transaction
    begun: list[str] = []

    @contextmanager
    def begin_once(gallery: OpenGallery) -> Iterator[Hold]:
        if begun:
            raise StorageError("the store is away")
        begun.append(gallery.gallery_id)
        with begin(gallery) as hold:
            yield hold

    galleries._registry.in_one_transaction = begin_once
    asked = [("ann", face(axis(1))), ("bob", face(axis(2))), ("ann", face(between(axis(1), axis(3), 0.8)))]
    assert names(enrolled_together(galleries, asked)) == ["ann", "bob", "StorageError"]
    assert galleries.get_gallery("g").template_count == 2


@pytest.mark.parametrize("mean_of_best", [1, 2])
def test_a_template_that_another_one_brings_nearer_counts(galleries: Galleries, mean_of_best: int) -> None:
    galleries.update_gallery("g", GalleryChange(mean_of_best=mean_of_best))
    galleries.enroll("g", "ann", face(between(axis(1), axis(2), 0.45)))
    outcomes = enrolled_together(galleries, [("ann", face(between(axis(1), axis(3), 0.6))), ("bob", face(axis(1)))])
    assert names(outcomes) == ["ann", "LooksLikeAnotherSubject"]


def test_whoever_is_only_validated_is_in_nobodys_way(galleries: Galleries) -> None:
    opened = galleries._registry.find("g")
    with ThreadPoolExecutor(2) as threads, opened.change_lock:
        validated = threads.submit(galleries.enroll, "g", "ann", face(axis(1)), validate_only=True)
        until(lambda: opened.enrollments.waiting == 1)
        enrolled = threads.submit(galleries.enroll, "g", "bob", face(axis(1)))
        until(lambda: opened.enrollments.waiting == 2)
    assert validated.result().template.template_id == ""
    assert enrolled.result().subject.subject_id == "bob"
    assert galleries.get_gallery("g").subject_count == 1


def test_templates_of_one_subject_follow_one_another(galleries: Galleries) -> None:
    outcomes = enrolled_together(galleries, [("ann", face(between(axis(1), axis(2 + each), 0.8))) for each in range(7)])
    assert names(outcomes) == ["ann"] * 5 + ["TooManyTemplates"] * 2
    assert galleries.get_subject("g", "ann").template_count == 5


def test_a_repeated_request_is_answered_with_its_template(galleries: Galleries) -> None:
    asked = [("", face(axis(1), request_id="r", digest="d"))] * 3
    first, *others = enrolled_together(galleries, asked)
    assert isinstance(first, Enrolled)
    assert not first.already_enrolled
    for each in others:
        assert isinstance(each, Enrolled)
        assert each.already_enrolled
        assert each.template == first.template


def test_a_refused_face_is_in_nobodys_way(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(1)))
    outcomes = enrolled_together(
        galleries,
        [
            ("bob", face(axis(2))),
            ("cid", face(between(axis(1), axis(3), 0.9))),
            ("dan", face(axis(4)[:-1])),
            ("eve", face(axis(5))),
        ],
    )
    assert names(outcomes) == ["bob", "LooksLikeAnotherSubject", "InvalidEmbedding", "eve"]
    assert isinstance(outcomes[1], LooksLikeAnotherSubject)
    assert outcomes[1].subject_id == "ann"
    assert isinstance(outcomes[2], InvalidEmbedding)


def test_each_needs_its_own_consent(galleries: Galleries) -> None:
    galleries.update_gallery("g", GalleryChange(policy=GalleryPolicy(require_consent=True)))
    outcomes = enrolled_together(galleries, [("ann", face(axis(1))), ("bob", face(axis(2)))])
    assert all(isinstance(each, ConsentRequired) for each in outcomes)


def test_faces_with_embeddings_of_other_models_are_not_stored_together() -> None:
    one, other = (WaitingFace(each, face(axis(1)), validate_only=False) for each in ("ann", "bob"))
    one.embeddings = {"old": axis(1), "new": axis(2)}
    other.embeddings = {"new": axis(4), "old": axis(3)}
    assert other.depends_on(one, is_new=True)
    other.embeddings = {"old": axis(3), "new": axis(4)}
    assert not other.depends_on(one, is_new=True)


def test_a_store_that_cannot_write_tells_all_and_stores_nothing(tmp_path: Path) -> None:
    class Full(SqliteStore):
        """A store on a full disk."""

        is_full = True

        def add_templates(self, gallery_id: str, added: Sequence[AddedTemplate], *, contract: str = "") -> None:
            if self.is_full:
                raise StorageError("full")
            super().add_templates(gallery_id, added, contract=contract)

    store = Full(tmp_path / "facet.db")
    galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5)
    galleries.create_gallery("g", display_name="", threshold=0.5)
    asked = [("ann", face(axis(1))), ("bob", face(axis(2)))]
    assert all(isinstance(each, StorageError) for each in enrolled_together(galleries, asked))
    assert galleries.get_gallery("g").template_count == 0
    store.is_full = False
    assert names(enrolled_together(galleries, asked)) == ["ann", "bob"]
    galleries.close()


class Failing(MemoryIndex):
    """An index to which as many templates cannot be added as the class has errors left."""

    errors: ClassVar[list[BaseException]] = []

    def add(self, templates: EmbeddedTemplates) -> None:
        if self.errors:
            raise self.errors.pop()
        super().add(templates)


@pytest.fixture
def failing(galleries: Galleries, monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """The errors that the next additions to the indexes of the gallery fail with, the last one first."""
    monkeypatch.setattr(registry, "MemoryIndex", Failing)
    monkeypatch.setattr(Failing, "errors", [])
    opened = galleries._registry.find("g")
    with opened.change_lock:
        galleries._registry.reload(opened)
    return Failing.errors


def test_what_is_stored_and_cannot_be_shown_is_read_from_the_store(
    galleries: Galleries, failing: list[BaseException]
) -> None:
    failing.append(MemoryError())
    opened = galleries._registry.find("g")
    with ThreadPoolExecutor(2) as threads:
        with opened.change_lock:
            waiting = []
            for number, subject_id in enumerate(("ann", "bob")):
                waiting.append(threads.submit(galleries.enroll, "g", subject_id, face(axis(number))))
                until(lambda: opened.enrollments.waiting == len(waiting))
        with pytest.raises(MemoryError):
            waiting[0].result()
        assert waiting[1].result().subject.subject_id == "bob"
    assert [best_match(galleries, axis(number)) for number in range(2)] == ["ann", "bob"]


@pytest.mark.parametrize(
    "errors",
    [[MemoryError(), MemoryError()], [KeyboardInterrupt()]],
    ids=["the gallery cannot be read again either", "interrupted"],
)
def test_who_is_answered_to_be_enrolled_is_found_after_an_error(
    galleries: Galleries, failing: list[BaseException], errors: list[BaseException]
) -> None:
    failing.extend(errors)
    with pytest.raises(type(errors[0])):
        galleries.enroll("g", "ann", face(axis(1)))
    assert not failing
    assert best_match(galleries, axis(1)) == ""
    assert galleries.enroll("g", "ann", face(axis(1))).already_enrolled
    assert best_match(galleries, axis(1)) == "ann"
    assert galleries.search("g", axis(1)[None], top_k=1)[0].templates_compared == 1


def test_nothing_of_a_face_stays_in_memory_because_another_one_was_refused(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(1)))
    asked = [("bob", face(axis(2))), ("cid", face(between(axis(1), axis(3), 0.9)))]
    gone = [weakref.ref(enrollment.embedding) for _, enrollment in asked]
    gc.disable()
    try:
        assert names(enrolled_together(galleries, asked)) == ["bob", "LooksLikeAnotherSubject"]
        del asked
        assert all(each() is None for each in gone)
    finally:
        gc.enable()


class Away(SqliteStore):
    """A store that is away when templates are to be added."""

    def add_templates(self, gallery_id: str, added: Sequence[AddedTemplate], *, contract: str = "") -> None:
        raise StorageError("the store is away")


def test_nothing_of_a_face_stays_in_memory_because_its_transaction_failed(tmp_path: Path) -> None:
    store = Away(tmp_path / "facet.db")
    with closing(Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=10)) as galleries:
        galleries.create_gallery("g", display_name="", threshold=0.5)
        enrollment = face(axis(1).copy())
        gone = weakref.ref(enrollment.embedding)
        gc.disable()
        try:
            with suppress(StorageError):
                galleries.enroll("g", "ann", enrollment)
            del enrollment
            assert gone() is None
        finally:
            gc.enable()
