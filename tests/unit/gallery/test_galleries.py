from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.errors import (
    ContractMismatch,
    EtagMismatch,
    GalleryError,
    GalleryExists,
    GalleryNotEmpty,
    GalleryNotFound,
    InvalidEmbedding,
    InvalidPageToken,
    LooksLikeAnotherSubject,
    RequestIdReused,
    SubjectNotFound,
    SubjectWithoutTemplates,
    TemplateNotFound,
    TooManyTemplates,
)
from gallery.galleries import Galleries
from gallery.index.base import Ranked
from gallery.index.memory_index import MemoryIndex
from gallery.records.records import Decision, Enrollment
from gallery.stores.sqlite.store import SqliteStore

DIMENSION = 32
CONTRACT = "contract-of-the-server"
BOX = (10.0, 20.0, 110.0, 140.0)

Vector = NDArray[np.float32]


def opened(path: Path, *, contract: str = CONTRACT, max_templates: int = 5) -> Galleries:
    return Galleries(SqliteStore(path), contract=contract, dimension=DIMENSION, max_templates_per_subject=max_templates)


def axis(number: int) -> Vector:
    return np.asarray(np.eye(DIMENSION)[number], np.float32)


def between(one: Vector, other: Vector, cosine: float) -> Vector:
    """A unit vector at this cosine to ``one``, towards ``other``, which is at a right angle to it."""
    return np.asarray(cosine * one + np.sqrt(1 - cosine**2) * other, np.float32)


def face(
    embedding: Vector,
    *,
    picture: str | None = None,
    name: str = "",
    box: tuple[float, float, float, float] = BOX,
    request_id: str = "",
    digest: str = "",
    accept_lookalike: bool = False,
) -> Enrollment:
    content = embedding.tobytes() if picture is None else picture.encode()
    return Enrollment(
        embedding=embedding,
        contract=CONTRACT,
        picture_sha256=hashlib.sha256(content).hexdigest(),
        box=box,
        quality=0.75,
        display_name=name,
        request_id=request_id,
        request_digest=digest,
        accept_lookalike=accept_lookalike,
    )


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[Galleries]:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="Guests", threshold=0.5)
    yield galleries
    galleries.close()


def best(galleries: Galleries, probe: Vector, gallery_id: str = "g") -> str:
    (answer,) = galleries.search(gallery_id, probe[None], top_k=1)
    return answer.candidates[0].subject_id if answer.decision is Decision.MATCH else ""


def test_a_gallery_is_as_it_was_created(galleries: Galleries) -> None:
    before = datetime.now(UTC)
    made = galleries.create_gallery("new", display_name="Staff ☕", threshold=0.25)
    assert galleries.get_gallery("new") == made
    assert (made.display_name, made.threshold, made.contract) == ("Staff ☕", 0.25, CONTRACT)
    assert (made.subject_count, made.template_count) == (0, 0)
    assert before <= made.create_time == made.update_time <= datetime.now(UTC)
    assert made.create_time.utcoffset() == timedelta(0)
    assert made.etag


def test_a_gallery_without_an_id_gets_a_uuid7(galleries: Galleries) -> None:
    assert UUID(galleries.create_gallery("", display_name="", threshold=0.5).gallery_id).version == 7


def test_an_id_that_is_taken_is_refused(galleries: Galleries) -> None:
    with pytest.raises(GalleryExists) as refused:
        galleries.create_gallery("g", display_name="", threshold=0.1)
    assert refused.value.gallery_id == "g"
    assert galleries.get_gallery("g").display_name == "Guests"


def test_only_what_is_named_is_updated_and_the_etag_changes(galleries: Galleries) -> None:
    before = galleries.get_gallery("g")
    after = galleries.update_gallery("g", threshold=0.75, etag=before.etag)
    assert (after.display_name, after.threshold) == ("Guests", 0.75)
    assert after.etag != before.etag
    assert after.update_time >= before.update_time
    assert after == galleries.get_gallery("g")
    renamed = galleries.update_gallery("g", display_name="")
    assert (renamed.display_name, renamed.threshold) == ("", 0.75)


def test_a_stale_etag_changes_nothing(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    gallery, subject = galleries.get_gallery("g"), galleries.get_subject("g", "ann")
    with pytest.raises(EtagMismatch) as refused:
        galleries.update_gallery("g", display_name="x", etag="stale")
    assert (refused.value.gallery_id, refused.value.subject_id) == ("g", "")
    assert (refused.value.expected, refused.value.found) == (gallery.etag, "stale")
    with pytest.raises(EtagMismatch):
        galleries.delete_gallery("g", force=True, etag="stale")
    with pytest.raises(EtagMismatch) as refused:
        galleries.update_subject("g", "ann", display_name="x", etag="stale")
    assert refused.value.subject_id == "ann"
    with pytest.raises(EtagMismatch):
        galleries.delete_subject("g", "ann", etag="stale")
    assert galleries.get_gallery("g") == gallery
    assert galleries.get_subject("g", "ann") == subject
    assert best(galleries, axis(0)) == "ann"


def test_enrolment_leaves_the_etags_of_gallery_and_subject(galleries: Galleries) -> None:
    first = galleries.enroll("g", "ann", face(axis(0))).subject
    second = galleries.enroll("g", "ann", face(axis(1))).subject
    assert first.etag == second.etag
    galleries.update_gallery("g", threshold=0.6, etag=galleries.get_gallery("g").etag)


def test_an_etag_of_a_former_gallery_of_that_name_is_stale(galleries: Galleries) -> None:
    former = galleries.get_gallery("g").etag
    galleries.delete_gallery("g", etag=former)
    galleries.create_gallery("g", display_name="", threshold=0.5)
    with pytest.raises(EtagMismatch):
        galleries.delete_gallery("g", etag=former)


def test_the_gallerys_new_threshold_decides_the_next_search(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    probe = between(axis(0), axis(1), 0.6)
    assert best(galleries, probe) == "ann"
    galleries.update_gallery("g", threshold=0.7)
    assert best(galleries, probe) == ""
    (answer,) = galleries.search("g", probe[None], top_k=1, threshold=0.55)
    assert (answer.decision, answer.threshold) == (Decision.MATCH, float(np.float32(0.55)))


def test_a_threshold_compares_as_the_float32_that_a_client_sees(galleries: Galleries) -> None:
    threshold = float(np.float32(0.7))
    assert threshold < 0.7
    assert galleries.update_gallery("g", threshold=0.7).threshold == threshold


def test_a_gallery_with_subjects_is_deleted_only_by_force(galleries: Galleries) -> None:
    enrolled = galleries.enroll("g", "ann", face(axis(0)))
    galleries.delete_template("g", "ann", enrolled.template.template_id)
    with pytest.raises(GalleryNotEmpty) as refused:
        galleries.delete_gallery("g")
    assert (refused.value.gallery_id, refused.value.subject_count) == ("g", 1)
    galleries.delete_gallery("g", force=True)
    galleries.create_gallery("g", display_name="", threshold=0.5)
    assert galleries.get_gallery("g").subject_count == 0
    assert best(galleries, axis(0)) == ""


def test_a_search_that_meets_the_gallerys_deletion_says_that_it_is_missing(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries.enroll("g", "s", face(axis(0)))
    search = MemoryIndex.search

    def deleted_first(self: MemoryIndex, probes: Vector, **options: Any) -> tuple[Ranked, ...]:
        galleries.delete_gallery("g", force=True)
        return search(self, probes, **options)

    monkeypatch.setattr(MemoryIndex, "search", deleted_first)
    with pytest.raises(GalleryNotFound):
        galleries.search("g", axis(0)[None], top_k=1)


def test_every_method_names_the_gallery_that_is_missing(galleries: Galleries) -> None:
    calls: list[Callable[[], object]] = [
        lambda: galleries.get_gallery("no"),
        lambda: galleries.update_gallery("no", threshold=0.5),
        lambda: galleries.delete_gallery("no"),
        lambda: galleries.enroll("no", "ann", face(axis(0))),
        lambda: galleries.get_subject("no", "ann"),
        lambda: galleries.list_subjects("no", page_size=5),
        lambda: galleries.update_subject("no", "ann", display_name=""),
        lambda: galleries.delete_subject("no", "ann"),
        lambda: galleries.list_templates("no", "ann", page_size=5),
        lambda: galleries.delete_template("no", "ann", "t"),
        lambda: galleries.search("no", axis(0)[None], top_k=1),
        lambda: galleries.similarity_to_subject("no", "ann", axis(0)),
    ]
    for call in calls:
        with pytest.raises(GalleryNotFound) as refused:
            call()
        assert refused.value.gallery_id == "no"


def test_every_method_names_the_subject_that_is_missing(galleries: Galleries) -> None:
    calls: list[Callable[[], object]] = [
        lambda: galleries.get_subject("g", "no"),
        lambda: galleries.update_subject("g", "no", display_name=""),
        lambda: galleries.delete_subject("g", "no"),
        lambda: galleries.list_templates("g", "no", page_size=5),
        lambda: galleries.delete_template("g", "no", "t"),
        lambda: galleries.similarity_to_subject("g", "no", axis(0)),
    ]
    for call in calls:
        with pytest.raises(SubjectNotFound) as refused:
            call()
        assert (refused.value.gallery_id, refused.value.subject_id) == ("g", "no")


def test_what_was_enrolled_is_found_and_read_back(galleries: Galleries) -> None:
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


def test_all_is_there_after_reopening(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="Guests", threshold=0.4)
    for number in range(6):
        galleries.enroll("g", f"s{number // 2}", face(axis(number), name=f"Name {number // 2}"))
    galleries.update_subject("g", "s1", display_name="Renamed")
    probes = np.random.default_rng(1).normal(size=(20, DIMENSION)).astype(np.float32)

    def everything(galleries: Galleries) -> object:
        return (
            galleries.list_galleries(page_size=10),
            galleries.list_subjects("g", page_size=10),
            [galleries.list_templates("g", f"s{number}", page_size=10) for number in range(3)],
            galleries.search("g", probes, top_k=5),
        )

    before = everything(galleries)
    galleries.close()
    reopened = opened(tmp_path / "facet.db")
    assert everything(reopened) == before
    reopened.close()


def test_a_subject_without_an_id_gets_a_uuid7_each_time(galleries: Galleries) -> None:
    one = galleries.enroll("g", "", face(axis(0))).subject.subject_id
    other = galleries.enroll("g", "", face(axis(1))).subject.subject_id
    assert UUID(one).version == UUID(other).version == 7
    assert one != other


def test_an_existing_subject_keeps_its_name(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0), name="Ann"))
    assert galleries.enroll("g", "ann", face(axis(1), name="Other")).subject.display_name == "Ann"


def test_a_new_name_is_seen_by_the_next_search(galleries: Galleries) -> None:
    etag = galleries.enroll("g", "ann", face(axis(0), name="Ann")).subject.etag
    renamed = galleries.update_subject("g", "ann", display_name="Anna", etag=etag)
    assert renamed.etag != etag
    assert galleries.get_subject("g", "ann") == renamed
    assert galleries.search("g", axis(0)[None], top_k=1)[0].candidates[0].display_name == "Anna"


def test_the_same_face_of_the_same_picture_is_enrolled_once(galleries: Galleries) -> None:
    first = galleries.enroll("g", "ann", face(axis(0), picture="p"))
    again = galleries.enroll("g", "ann", face(axis(1), picture="p", box=(12.0, 22.0, 112.0, 142.0)))
    assert again.already_enrolled
    assert (again.subject, again.template) == (first.subject, first.template)
    assert galleries.get_gallery("g").template_count == 1


def test_another_face_of_the_same_picture_is_another_template(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0), picture="p"))
    other = galleries.enroll("g", "ann", face(axis(1), picture="p", box=(200.0, 20.0, 300.0, 140.0)))
    assert not other.already_enrolled
    assert other.subject.template_count == 2


def test_the_same_picture_of_another_subject_is_another_template(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0), picture="p"))
    assert not galleries.enroll("g", "bob", face(axis(1), picture="p")).already_enrolled


def test_a_request_that_comes_again_is_answered_as_before(galleries: Galleries) -> None:
    request = face(axis(0), request_id="r", digest="d")
    first = galleries.enroll("g", "", request)
    again = galleries.enroll("g", "", request)
    assert not first.already_enrolled
    assert again == replace(first, already_enrolled=True)
    assert galleries.get_gallery("g").template_count == 1


def test_a_request_id_stands_for_one_request_of_a_gallery(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0), request_id="r", digest="d"))
    with pytest.raises(RequestIdReused) as refused:
        galleries.enroll("g", "bob", face(axis(1), request_id="r", digest="other"))
    assert (refused.value.gallery_id, refused.value.request_id) == ("g", "r")
    galleries.create_gallery("h", display_name="", threshold=0.5)
    assert not galleries.enroll("h", "bob", face(axis(1), request_id="r", digest="other")).already_enrolled


def test_a_request_that_met_an_enrolled_face_is_remembered_too(galleries: Galleries) -> None:
    first = galleries.enroll("g", "ann", face(axis(0)))
    for _ in range(2):
        met = galleries.enroll("g", "ann", face(axis(0), request_id="r", digest="d"))
        assert met == replace(first, already_enrolled=True)
    with pytest.raises(RequestIdReused):
        galleries.enroll("g", "bob", face(axis(1), request_id="r", digest="other"))


def test_a_request_is_forgotten_with_its_template(galleries: Galleries) -> None:
    first = galleries.enroll("g", "ann", face(axis(0), request_id="r", digest="d"))
    galleries.delete_template("g", "ann", first.template.template_id)
    again = galleries.enroll("g", "bob", face(axis(1), request_id="r", digest="other"))
    assert not again.already_enrolled


def test_a_face_like_another_subjects_is_refused(galleries: Galleries) -> None:
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


def test_a_face_below_the_threshold_is_nobody_elses(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    assert galleries.enroll("g", "bob", face(between(axis(0), axis(1), 0.49)))


def test_a_face_that_is_nearest_to_its_own_subject_is_no_lookalike(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "bob", face(axis(1)))
    with pytest.raises(LooksLikeAnotherSubject):
        galleries.enroll("g", "bob", face(between(axis(0), axis(1), 0.75)))
    enrolled = galleries.enroll("g", "bob", face(between(axis(1), axis(0), 0.75)))
    assert enrolled.subject.template_count == 2


def test_a_face_that_is_as_near_to_its_own_subject_as_to_another_is_no_lookalike(galleries: Galleries) -> None:
    for subject_id in ("ann", "bob"):
        galleries.enroll("g", subject_id, face(axis(0), accept_lookalike=True))
    answer = galleries.enroll("g", "bob", face(between(axis(0), axis(1), 0.9)))
    assert answer.subject.template_count == 2


def test_a_subject_has_at_most_so_many_templates(galleries: Galleries) -> None:
    for number in range(5):
        galleries.enroll("g", "ann", face(axis(number)))
    with pytest.raises(TooManyTemplates) as refused:
        galleries.enroll("g", "ann", face(axis(6)))
    assert (refused.value.subject_id, refused.value.limit) == ("ann", 5)
    assert galleries.enroll("g", "ann", face(axis(4))).already_enrolled


def test_a_validated_enrolment_keeps_nothing(galleries: Galleries) -> None:
    request = face(axis(0), name="Ann", request_id="r", digest="d")
    answer = galleries.enroll("g", "ann", request, validate_only=True)
    assert (answer.template.template_id, answer.already_enrolled) == ("", False)
    assert (answer.subject.display_name, answer.subject.template_count) == ("Ann", 1)
    assert galleries.get_gallery("g").subject_count == 0
    assert best(galleries, axis(0)) == ""
    galleries.enroll("g", "bob", replace(request, request_digest="other"))
    with pytest.raises(LooksLikeAnotherSubject):
        galleries.enroll("g", "ann", face(axis(0)), validate_only=True)
    again = galleries.enroll("g", "bob", face(axis(0), request_id="q"), validate_only=True)
    assert (again.already_enrolled, again.template.template_id) == (True, "")
    galleries.enroll("g", "ann", face(axis(1), request_id="q", digest="not the same"))


def test_two_faces_of_one_person_cannot_both_pass_the_lookalike_check(galleries: Galleries) -> None:
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


def test_a_forgotten_subject_is_in_no_answer(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "ann", face(axis(1)))
    galleries.enroll("g", "bob", face(axis(2)))
    assert galleries.delete_subject("g", "ann", etag=galleries.get_subject("g", "ann").etag) == 2
    assert [each.subject_id for each in galleries.list_subjects("g", page_size=9).items] == ["bob"]
    (answer,) = galleries.search("g", axis(0)[None], top_k=5)
    assert [each.subject_id for each in answer.candidates] == ["bob"]
    assert answer.templates_compared == 1


def test_a_subject_stays_without_templates(galleries: Galleries) -> None:
    template = galleries.enroll("g", "ann", face(axis(0), name="Ann")).template
    with pytest.raises(TemplateNotFound) as refused:
        galleries.delete_template("g", "ann", "no")
    assert refused.value.template_id == "no"
    galleries.delete_template("g", "ann", template.template_id)
    assert galleries.get_subject("g", "ann").template_count == 0
    with pytest.raises(SubjectWithoutTemplates):
        galleries.similarity_to_subject("g", "ann", axis(0))
    galleries.update_subject("g", "ann", display_name="Anna")
    galleries.enroll("g", "ann", face(axis(1)))
    assert galleries.search("g", axis(1)[None], top_k=1)[0].candidates[0].display_name == "Anna"


def test_a_template_is_deleted_only_under_its_own_subject(galleries: Galleries) -> None:
    template = galleries.enroll("g", "ann", face(axis(0))).template
    galleries.enroll("g", "bob", face(axis(1)))
    with pytest.raises(TemplateNotFound):
        galleries.delete_template("g", "bob", template.template_id)
    assert best(galleries, axis(0)) == "ann"


def test_similarity_is_to_the_subjects_best_template(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "ann", face(axis(1)))
    assert galleries.similarity_to_subject("g", "ann", between(axis(1), axis(2), 0.8)) == pytest.approx(0.8)


def test_galleries_do_not_see_each_other(galleries: Galleries) -> None:
    galleries.create_gallery("h", display_name="", threshold=0.5)
    galleries.enroll("g", "ann", face(axis(0), name="Ann of g"))
    galleries.enroll("h", "ann", face(axis(1), name="Ann of h"))
    assert best(galleries, axis(0), "h") == ""
    galleries.delete_subject("h", "ann")
    assert galleries.get_subject("g", "ann").display_name == "Ann of g"


@pytest.mark.parametrize(
    "embedding",
    [
        np.full(DIMENSION, np.nan, np.float32),
        np.full(DIMENSION, np.inf, np.float32),
        np.zeros(DIMENSION, np.float32),
        np.full(DIMENSION, 1e-30, np.float32),
        np.ones(DIMENSION - 1, np.float32),
        np.ones((DIMENSION, 1), np.float32),
        np.float32(1.0),
        np.empty(0, np.float32),
    ],
    ids=["nan", "infinite", "zero", "tiny", "short", "a column", "a number", "empty"],
)
def test_an_embedding_that_is_none_is_refused(galleries: Galleries, embedding: Vector) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    array = np.asarray(embedding)
    with pytest.raises(InvalidEmbedding):
        galleries.enroll("g", "bob", face(array))
    with pytest.raises(InvalidEmbedding):
        galleries.search("g", array[None], top_k=1)
    with pytest.raises(InvalidEmbedding):
        galleries.similarity_to_subject("g", "ann", array)


def test_very_long_embeddings_are_normalised(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face((3e38 * axis(0)).astype(np.float32)))
    assert galleries.similarity_to_subject("g", "ann", axis(0)) == 1.0


def test_a_gallery_of_another_contract_is_kept_but_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = opened(path)
    galleries.create_gallery("g", display_name="Guests", threshold=0.5)
    template = galleries.enroll("g", "ann", face(axis(0), name="Ann")).template
    galleries.enroll("g", "bob", face(axis(1)))
    galleries.close()

    galleries = opened(path, contract="another")
    for call in (
        lambda: galleries.search("g", axis(0)[None], top_k=1),
        lambda: galleries.similarity_to_subject("g", "ann", axis(0)),
        lambda: galleries.enroll("g", "ann", replace(face(axis(2)), contract="another")),
        lambda: galleries.enroll("g", "ann", face(axis(2))),
    ):
        with pytest.raises(ContractMismatch) as refused:
            call()
        assert (refused.value.gallery_id, refused.value.expected) == ("g", CONTRACT)
        assert refused.value.found == "another"
    assert galleries.list_galleries(page_size=5).items == (galleries.get_gallery("g"),)
    assert galleries.get_gallery("g").template_count == 2
    assert galleries.update_subject("g", "ann", display_name="Anna").display_name == "Anna"
    assert galleries.update_gallery("g", display_name="Old", threshold=0.6).display_name == "Old"
    galleries.delete_template("g", "ann", template.template_id)
    assert galleries.delete_subject("g", "bob") == 1
    galleries.delete_gallery("g", force=True)
    assert galleries.list_galleries(page_size=5).items == ()
    galleries.close()


def test_an_embedding_of_another_contract_is_refused(galleries: Galleries) -> None:
    with pytest.raises(ContractMismatch) as refused:
        galleries.enroll("g", "ann", replace(face(axis(0)), contract="another"))
    assert (refused.value.expected, refused.value.found) == (CONTRACT, "another")
    with pytest.raises(ContractMismatch):
        galleries.search("g", axis(0)[None], top_k=1, contract="another")
    assert galleries.search("g", axis(0)[None], top_k=1, contract=CONTRACT)


def test_lists_come_by_code_point_in_pages(galleries: Galleries) -> None:
    ids = ["Z", "a", "b c", "'; DROP TABLE subjects; --", "é", "\uff5a", "😀", "%", "nul\0byte"]
    for number, subject_id in enumerate(ids):
        galleries.enroll("g", subject_id, face(axis(number)))
    for page_size in (1, 4, len(ids), 100):
        found: list[str] = []
        token = ""
        while True:
            page = galleries.list_subjects("g", page_size=page_size, page_token=token)
            assert 1 <= len(page.items) <= page_size
            found += [subject.subject_id for subject in page.items]
            token = page.next_page_token
            if not token:
                break
        assert found == sorted(ids)
    for subject_id in ids:
        assert galleries.get_subject("g", subject_id).subject_id == subject_id


def test_templates_come_the_oldest_first(galleries: Galleries) -> None:
    made = [galleries.enroll("g", "ann", face(axis(number))).template for number in range(5)]
    first = galleries.list_templates("g", "ann", page_size=3)
    rest = galleries.list_templates("g", "ann", page_size=3, page_token=first.next_page_token)
    assert [*first.items, *rest.items] == made
    assert rest.next_page_token == ""


def test_a_page_token_that_no_store_can_hold_is_refused(galleries: Galleries) -> None:
    token = base64.urlsafe_b64encode(rb'["galleries", "\ud800"]').decode()
    with pytest.raises(InvalidPageToken):
        galleries.list_galleries(page_size=1, page_token=token)


def test_a_page_token_of_another_list_is_refused(galleries: Galleries) -> None:
    galleries.create_gallery("h", display_name="", threshold=0.5)
    for gallery_id in "gh":
        for number, subject_id in enumerate(("ann", "bob")):
            galleries.enroll(gallery_id, subject_id, face(axis(2 * number)))
            galleries.enroll(gallery_id, subject_id, face(axis(2 * number + 1)))
    of_galleries = galleries.list_galleries(page_size=1).next_page_token
    of_subjects = galleries.list_subjects("g", page_size=1).next_page_token
    of_templates = galleries.list_templates("g", "ann", page_size=1).next_page_token
    for token in (of_subjects, of_templates, "x", "ünï", of_galleries[:-3], "bnVsbA==", "WzE=", "W10="):
        with pytest.raises(InvalidPageToken):
            galleries.list_galleries(page_size=1, page_token=token)
    for token in (of_galleries, of_templates):
        with pytest.raises(InvalidPageToken):
            galleries.list_subjects("g", page_size=1, page_token=token)
    with pytest.raises(InvalidPageToken):
        galleries.list_subjects("h", page_size=1, page_token=of_subjects)
    with pytest.raises(InvalidPageToken):
        galleries.list_templates("g", "bob", page_size=1, page_token=of_templates)


def test_a_gallery_counts_what_is_its_own(galleries: Galleries) -> None:
    galleries.create_gallery("h", display_name="", threshold=0.5)
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "ann", face(axis(1)))
    galleries.enroll("h", "bob", face(axis(0)))
    gallery = galleries.get_gallery("g")
    assert (gallery.subject_count, gallery.template_count) == (1, 2)


def test_every_error_is_a_gallery_error_and_says_what_is_wrong(galleries: Galleries) -> None:
    with pytest.raises(GalleryError, match="there is no gallery 'no'"):
        galleries.get_gallery("no")


def test_every_change_of_a_gallery_makes_another_revision_and_nothing_else_does(
    galleries: Galleries, tmp_path: Path
) -> None:
    galleries.create_gallery("other", display_name="", threshold=0.5)
    seen = [galleries.revision("g")]

    def change(what: Callable[[], object]) -> None:
        what()
        assert galleries.revision("g") == galleries.revision("g")
        seen.append(galleries.revision("g"))

    change(lambda: galleries.enroll("g", "anna", face(axis(0))))
    change(lambda: galleries.update_subject("g", "anna", display_name="Anna"))
    change(lambda: galleries.update_gallery("g", threshold=0.6))
    (template,) = galleries.list_templates("g", "anna", page_size=9).items
    change(lambda: galleries.delete_template("g", "anna", template.template_id))
    change(lambda: galleries.delete_subject("g", "anna"))
    galleries.search("g", axis(0)[None], top_k=1)
    galleries.enroll("other", "bert", face(axis(1)))
    assert galleries.revision("g") == seen[-1]
    galleries.delete_gallery("g")
    with pytest.raises(GalleryNotFound):
        galleries.revision("g")
    change(lambda: galleries.create_gallery("g", display_name="", threshold=0.5))
    assert len(set(seen)) == len(seen)
    galleries.close()
    with pytest.raises(ContractMismatch):
        opened(tmp_path / "facet.db", contract="another").revision("g")
