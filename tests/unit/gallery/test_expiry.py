"""What has expired is in no answer at once, and is erased by the next run of the retention."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gallery.errors import ConsentRequired, StorageUnavailable, SubjectNotFound, SubjectsWithoutConsent
from gallery.galleries import Galleries
from gallery.index.memory_index import MemoryIndex
from gallery.opened.coming_expiries import AHEAD
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.enrollments import Enrollment
from gallery.records.expired import Expired, ExpiriesAhead
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.identifications import Decision
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import StoredFace, Template
from gallery.stores.base import EnrollmentState
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.clocks import SetClock
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face, opened
from tests.waiting import PATIENCE, until

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
MOMENT = 0.2
"""Seconds in which an enrolment that does not wait ends."""


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
def galleries(tmp_path: Path, clock: SetClock) -> Iterator[Galleries]:
    galleries = opened(tmp_path / "facet.db", clock=clock)
    galleries.create_gallery("g", display_name="Guests", threshold=0.5)
    yield galleries
    galleries.close()


def expiring(enrollment: Enrollment, after: timedelta) -> Enrollment:
    return replace(enrollment, expire_time=START + after)


def found(galleries: Galleries, number: int) -> str:
    (answer,) = galleries.search("g", axis(number)[None], top_k=1)
    return answer.candidates[0].subject_id if answer.decision is Decision.MATCH else ""


def test_a_subject_is_in_no_answer_from_the_moment_it_expires(galleries: Galleries, clock: SetClock) -> None:
    galleries.enroll("g", "ann", expiring(face(axis(0)), DAY))
    galleries.enroll("g", "bob", face(axis(1)))
    before = galleries.revision("g")
    clock.time = START + DAY - timedelta(microseconds=1)
    assert found(galleries, 0) == "ann"
    assert galleries.revision("g") == before
    clock.time = START + DAY
    assert galleries.revision("g") != before
    assert not found(galleries, 0)
    assert found(galleries, 1) == "bob"
    asked: list[Callable[[], object]] = [
        lambda: galleries.get_subject("g", "ann"),
        lambda: galleries.list_templates("g", "ann", page_size=9),
        lambda: galleries.similarity_to_subject("g", "ann", axis(0)),
        lambda: galleries.delete_subject("g", "ann"),
        lambda: galleries.update_subject("g", "ann", SubjectChange(frozenset({"expire_time"}))),
    ]
    for ask in asked:
        with pytest.raises(SubjectNotFound):
            ask()
    assert [each.subject_id for each in galleries.list_subjects("g", page_size=9).items] == ["bob"]
    gallery = galleries.get_gallery("g")
    assert (gallery.subject_count, gallery.template_count) == (1, 1)


def test_what_expired_while_the_server_was_down_is_not_found_after_a_restart(
    galleries: Galleries, clock: SetClock, tmp_path: Path
) -> None:
    galleries.enroll("g", "ann", expiring(face(axis(0)), DAY))
    galleries.enroll("g", "bob", expiring(face(axis(1)), 2 * DAY))
    galleries.close()
    clock.time = START + DAY
    again = opened(tmp_path / "facet.db", clock=clock)
    assert not found(again, 0)
    assert found(again, 1) == "bob"
    clock.time = START + 2 * DAY
    assert not found(again, 1)
    again.close()


def test_a_template_expires_before_its_subject(galleries: Galleries, clock: SetClock) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    short = galleries.enroll("g", "ann", expiring(face(axis(1)), DAY)).template
    assert short.expire_time == START + DAY
    clock.time = START + DAY
    assert not found(galleries, 1)
    assert found(galleries, 0) == "ann"
    assert galleries.get_subject("g", "ann").template_count == 1
    assert len(galleries.list_templates("g", "ann", page_size=9).items) == 1


def test_an_expiry_that_is_moved_forward_or_back_counts_at_once(galleries: Galleries, clock: SetClock) -> None:
    galleries.enroll("g", "ann", expiring(face(axis(0)), DAY))
    later = SubjectChange(frozenset({"expire_time"}), expire_time=START + 3 * DAY)
    galleries.update_subject("g", "ann", later)
    clock.time = START + 2 * DAY
    assert found(galleries, 0) == "ann"
    earlier = SubjectChange(frozenset({"expire_time"}), expire_time=START + 2.5 * DAY)
    galleries.update_subject("g", "ann", earlier)
    clock.time = START + 2.5 * DAY
    assert not found(galleries, 0)


def test_a_shorter_retention_counts_for_those_who_are_enrolled(galleries: Galleries, clock: SetClock) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    clock.time = START + DAY
    galleries.enroll("g", "ann", face(axis(1)))
    galleries.enroll("g", "bob", face(axis(2)))
    change = GalleryChange(policy=GalleryPolicy(subject_retention=DAY))
    _, effect = galleries.preview_gallery("g", change)
    assert (effect.subjects, effect.templates) == (1, 2)
    assert found(galleries, 0) == "ann"
    assert galleries.change_gallery("g", change)[1] == effect
    assert not found(galleries, 0)
    assert not found(galleries, 1)
    assert found(galleries, 2) == "bob"
    clock.time = START + 2 * DAY
    assert not found(galleries, 2)


def test_what_has_expired_does_not_come_back_with_a_longer_retention(galleries: Galleries, clock: SetClock) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.update_gallery("g", GalleryChange(policy=GalleryPolicy(template_retention=DAY)))
    clock.time = START + DAY
    longer = GalleryChange(policy=GalleryPolicy(template_retention=9 * DAY))
    assert galleries.preview_gallery("g", longer)[1].templates == 0
    assert galleries.change_gallery("g", longer)[1].templates == 0
    assert galleries.list_templates("g", "ann", page_size=9).items == ()
    assert not found(galleries, 0)


def test_a_later_consent_begins_the_retention_anew(galleries: Galleries, clock: SetClock) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.update_gallery("g", GalleryChange(policy=GalleryPolicy(subject_retention=2 * DAY)))
    clock.time = START + DAY
    consent = Consent(ConsentBasis.CONSENT, "form 7", START + DAY)
    galleries.update_subject("g", "ann", SubjectChange(frozenset({"consent"}), consent=consent))
    clock.time = START + 2 * DAY
    assert found(galleries, 0) == "ann"
    clock.time = START + 3 * DAY
    assert not found(galleries, 0)


def test_a_consent_given_with_a_known_face_begins_the_retention_anew(galleries: Galleries, clock: SetClock) -> None:
    galleries.update_gallery("g", GalleryChange(policy=GalleryPolicy(subject_retention=2 * DAY)))
    for number, subject_id in enumerate(("ann", "bob")):
        galleries.enroll("g", subject_id, face(axis(number)))
    clock.time = START + DAY
    consent = Consent(ConsentBasis.CONSENT, "form 7", clock.time)
    assert galleries.enroll("g", "ann", replace(face(axis(0)), consent=consent)).already_enrolled
    clock.time = START + 2 * DAY
    assert (found(galleries, 0), found(galleries, 1)) == ("ann", "")
    clock.time = START + 3 * DAY
    assert not found(galleries, 0)
    assert galleries.retention.erase() == 2


class Away(SqliteStore):
    """A store that cannot tell what expires while it is away."""

    is_away = False

    def expiries_ahead(self, gallery_id: str, *, limit: int) -> ExpiriesAhead:
        self._check()
        return super().expiries_ahead(gallery_id, limit=limit)

    def expired(self, gallery_id: str, *, limit: int) -> Expired:
        self._check()
        return super().expired(gallery_id, limit=limit)

    def _check(self) -> None:
        if self.is_away:
            raise StorageUnavailable("away")


def test_beyond_the_expiries_known_ahead_nobody_is_found_while_the_store_is_away(
    tmp_path: Path, clock: SetClock
) -> None:
    store = Away(tmp_path / "away.db", clock=clock)
    people, known = AHEAD + 3, AHEAD - 1  # another one may expire at the same time as the last one it was told of
    subjects = [
        Subject("g", f"s{number:05}", "", 0, START, START, "e", expire_time=START + (number + 1) * SECOND)
        for number in range(people)
    ]
    importing = store.begin_import(Gallery("g", "", 0.5, 1, CONTRACT, 0, 0, START, START, "e"))
    importing.add([StoredFace(each, template_of(each), axis(0), None) for each in subjects])
    importing.commit()
    galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5, clock=clock)
    opened = galleries._registry.find("g")
    store.is_away = True
    clock.time = START + known * SECOND
    assert galleries.search("g", axis(0)[None], top_k=1)[0].templates_compared == people - known
    clock.time += SECOND
    for ask in (
        lambda: galleries.search("g", axis(0)[None], top_k=1),
        lambda: galleries._registry.drop_expired(opened),
        lambda: galleries.enroll("g", "ann", face(axis(1))),
    ):
        with pytest.raises(StorageUnavailable):
            ask()
    store.is_away = False
    assert galleries.search("g", axis(0)[None], top_k=1)[0].templates_compared == people - known - 1
    galleries.close()


def template_of(subject: Subject) -> Template:
    return Template(f"t{subject.subject_id}", "g", subject.subject_id, "p", (0.0, 0.0, 1.0, 1.0), 1.0, START)


def test_the_id_of_an_expired_subject_is_free_for_somebody_else(galleries: Galleries, clock: SetClock) -> None:
    old = galleries.enroll("g", "ann", expiring(replace(face(axis(0), name="Ann"), request_id="r"), DAY))
    clock.time = START + DAY
    new = galleries.enroll("g", "ann", replace(face(axis(0), name="Another"), request_id="r", request_digest="d"))
    assert not new.already_enrolled
    assert new.subject.display_name == "Another"
    assert new.subject.expire_time is None
    assert [each.template_id for each in galleries.list_templates("g", "ann", page_size=9).items] == [
        new.template.template_id
    ]
    assert old.template.template_id != new.template.template_id
    assert galleries.search("g", axis(0)[None], top_k=5)[0].templates_compared == 1
    galleries.retention.erase()
    assert found(galleries, 0) == "ann"


def test_who_is_enrolled_anew_while_the_expiry_is_carried_out_stays_in_the_index(
    galleries: Galleries, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The enrolment begins before the expiry, and ends between finding out who has expired and removing that."""
    galleries.enroll("g", "ann", expiring(face(axis(0)), DAY))
    expires, removes, enrolls = threading.Event(), threading.Event(), threading.Event()
    remove, states = MemoryIndex.remove, SqliteStore.enrollment_states

    def wait_and_remove(index: MemoryIndex, expired: Expired) -> None:
        removes.set()
        enrolls.wait(PATIENCE)
        remove(index, expired)

    def wait_and_read(*args: Any, **kwargs: Any) -> list[EnrollmentState]:
        expires.set()
        removes.wait(PATIENCE)
        return states(*args, **kwargs)

    monkeypatch.setattr(MemoryIndex, "remove", wait_and_remove)
    monkeypatch.setattr(SqliteStore, "enrollment_states", wait_and_read)
    with ThreadPoolExecutor(2) as pool:
        enrolled = pool.submit(galleries.enroll, "g", "ann", face(axis(1)))
        expires.wait(PATIENCE)
        clock.time = START + DAY
        searched = pool.submit(found, galleries, 0)
        until(lambda: stored(galleries) == 1, "she is not stored")
        # She is in the index a moment later, unless the enrolment waits for whoever removes what has expired.
        wait([enrolled], timeout=MOMENT)
        enrolls.set()
        assert not searched.result()
        enrolled.result()
    assert found(galleries, 1) == "ann"


def stored(galleries: Galleries) -> int:
    return len(galleries._store.embedded_templates("g", after="", limit=9))


def test_the_retention_erases_what_has_expired_and_says_what(galleries: Galleries, clock: SetClock) -> None:
    galleries.enroll("g", "ann", expiring(face(axis(0)), DAY))
    galleries.enroll("g", "bob", face(axis(1)))
    short = galleries.enroll("g", "bob", expiring(face(axis(2)), DAY)).template
    noted: list[tuple[str, Expired]] = []
    galleries.retention.note = lambda gallery_id, erased: noted.append((gallery_id, erased))
    assert (galleries.retention.erase(), galleries.retention.waiting()) == (0, 0)
    clock.time = START + DAY
    assert galleries.retention.waiting() == 2
    assert galleries.retention.erase() == 2
    assert noted == [("g", Expired(("ann",), (("bob", short.template_id),)))]
    assert (galleries.retention.erase(), galleries.retention.waiting()) == (0, 0)
    gallery = galleries.get_gallery("g")
    assert (gallery.subject_count, gallery.template_count) == (1, 1)
    assert found(galleries, 1) == "bob"


def test_a_gallery_that_requires_consents_takes_nobody_without_one(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    required = GalleryChange(policy=GalleryPolicy(require_consent=True))
    for change in (galleries.preview_gallery, galleries.change_gallery):
        with pytest.raises(SubjectsWithoutConsent) as refused:
            change("g", required)
        assert refused.value.count == 1
    consent = Consent(ConsentBasis.CONTRACT, "", START)
    galleries.update_subject("g", "ann", SubjectChange(frozenset({"consent"}), consent=consent))
    galleries.update_gallery("g", required)
    with pytest.raises(ConsentRequired):
        galleries.enroll("g", "bob", face(axis(1)))
    with pytest.raises(ConsentRequired):
        galleries.update_subject("g", "ann", SubjectChange(frozenset({"consent"})))
    assert galleries.enroll("g", "ann", face(axis(2))).subject.consent == consent
    assert galleries.enroll("g", "bob", replace(face(axis(1)), consent=consent)).subject.consent == consent


def test_another_and_later_consent_of_an_enrolment_is_recorded(galleries: Galleries) -> None:
    first = Consent(ConsentBasis.CONSENT, "form 1", START)
    galleries.enroll("g", "ann", replace(face(axis(0)), consent=first))
    repeated = replace(first, time=START + DAY)
    earlier = Consent(ConsentBasis.CONSENT, "form 0", START - DAY)
    for consent in (repeated, earlier):
        assert galleries.enroll("g", "ann", replace(face(axis(0)), consent=consent)).subject.consent == first
    later = Consent(ConsentBasis.CONSENT, "form 2", START + DAY)
    assert galleries.enroll("g", "ann", replace(face(axis(0)), consent=later)).already_enrolled
    assert galleries.get_subject("g", "ann").consent == later
