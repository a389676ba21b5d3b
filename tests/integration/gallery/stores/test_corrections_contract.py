"""Merging subjects, moving templates, and undoing that, in every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.errors import ChangeNotFound, DistinctSubjects, InvalidPageToken, UndoExpired
from gallery.galleries import Galleries
from gallery.pages import Page
from gallery.records.changes import Change
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.enrollments import Enrollment
from gallery.records.identifications import Decision
from gallery.records.outcomes import GivenAnswer, Outcome, Truth
from gallery.records.subjects import SubjectChange
from gallery.stores.base import Store
from gallery.times import now
from tests.clock_ahead import ClockAhead
from tests.integration.gallery.stores.samples import vectors

GIVEN = Consent(ConsentBasis.CONSENT, "form 1", datetime(2026, 1, 1, tzinfo=UTC))
LATER = Consent(ConsentBasis.CONTRACT, "form 2", datetime(2026, 2, 1, tzinfo=UTC))
FACES = vectors(4)


@pytest.fixture
def clock() -> ClockAhead:
    return ClockAhead()


@pytest.fixture
def galleries(store: Store, clock: ClockAhead) -> Galleries:
    return Galleries(store, contract="contract", dimension=32, max_templates_per_subject=5, clock=clock)


@pytest.fixture
def here(galleries: Galleries) -> str:
    """A gallery with ann, of two faces, bob and cid, of one each."""
    made = galleries.create_gallery("", display_name="", threshold=0.5).gallery_id
    for subject_id, face, consent in (("ann", 0, GIVEN), ("ann", 1, None), ("bob", 2, LATER), ("cid", 3, None)):
        picture = f"{face:064x}"
        galleries.enroll(
            made,
            subject_id,
            Enrollment(
                FACES[face],
                "contract",
                picture,
                (0, 0, 1, 1),
                1.0,
                display_name=subject_id.title(),
                crop=b"crop of %d" % face,
                consent=consent,
            ),
        )
    return made


def best(galleries: Galleries, here: str, face: NDArray[np.float32]) -> str:
    (found,) = galleries.search(here, face[None], top_k=1)
    return found.candidates[0].subject_id


def stored(store: Store, here: str) -> list[tuple[object, ...]]:
    """Everything that a gallery stores of its people."""
    found = store.faces(here, after=("", ""), limit=100)
    return [(each.subject, each.template, each.crop, np.asarray(each.embedding).tolist()) for each in found]


def test_a_merge_moves_all_templates_and_its_undoing_restores_everything(
    store: Store, galleries: Galleries, here: str
) -> None:
    before, pairs = stored(store, here), {("ann", "cid")}
    galleries.corrections.set_distinct(here, "cid", "ann", is_distinct=True)
    answer = galleries.corrections.merge(here, "ann", "bob", request_id="r")
    assert (answer.subject.template_count, answer.subject.consent) == (3, GIVEN)
    assert answer.subject == galleries.get_subject(here, "bob")
    assert [best(galleries, here, face) for face in FACES] == ["bob", "bob", "bob", "cid"]
    assert store.distinct_pairs(here) == {("bob", "cid")}
    assert galleries.get_gallery(here).subject_count == 2
    assert galleries.get_gallery(here).template_count == 4
    assert galleries.corrections.merge(here, "ann", "bob", request_id="r").change == answer.change
    with pytest.raises(DistinctSubjects):
        galleries.corrections.merge(here, "cid", "bob")
    undone = galleries.corrections.undo(here, answer.change.change_id)
    assert (undone.change.is_undone, undone.was_undone) == (True, False)
    assert galleries.corrections.undo(here, answer.change.change_id) == replace(undone, was_undone=True)
    assert stored(store, here) == before
    assert [best(galleries, here, face) for face in FACES] == ["ann", "ann", "bob", "cid"]
    assert store.distinct_pairs(here) == pairs


def test_a_template_is_moved_and_moved_back(store: Store, galleries: Galleries, here: str) -> None:
    before = stored(store, here)
    (template, *_) = galleries.list_templates(here, "ann", page_size=5).items
    galleries.update_subject(
        here, "ann", SubjectChange(frozenset({"expire_time"}), expire_time=now() + timedelta(days=9))
    )
    change = galleries.corrections.move(here, template.template_id, from_id="ann", into_id="cid").change
    assert best(galleries, here, FACES[0]) == "cid"
    expiries = {each.template_id: each.expire_time for each in galleries.list_templates(here, "cid", page_size=5).items}
    assert expiries.pop(change.template_ids[0]) is not None  # no later than with ann
    assert list(expiries.values()) == [None]
    galleries.corrections.undo(here, change.change_id)
    assert [face[1:] for face in stored(store, here)] == [face[1:] for face in before]


def test_what_undoes_a_change_goes_when_its_time_is_up_and_with_its_subject(
    store: Store, galleries: Galleries, here: str, clock: ClockAhead
) -> None:
    merged = galleries.corrections.merge(here, "ann", "bob", request_id="r").change
    other = galleries.corrections.move(
        here, merged.template_ids[0], from_id="bob", into_id="cid", request_id="s"
    ).change
    galleries.delete_subject(here, "cid")
    with pytest.raises(ChangeNotFound):
        galleries.corrections.undo(here, other.change_id)
    clock.ahead = timedelta(days=31)
    with pytest.raises(UndoExpired):
        galleries.corrections.undo(here, merged.change_id)
    galleries.retention.erase()
    left = store.changes.change(here, merged.change_id)
    assert left is not None
    assert (left.text, left.request_id) == ("", "")
    with pytest.raises(UndoExpired):
        galleries.corrections.undo(here, merged.change_id)


def test_changes_are_listed_the_latest_first_while_their_time_and_their_people_last(
    store: Store, galleries: Galleries, here: str, clock: ClockAhead
) -> None:
    def listed(**wanted: Any) -> Page[Change]:
        return galleries.corrections.list_changes(here, **{"page_size": 9} | wanted)

    (template, *_) = galleries.list_templates(here, "bob", page_size=5).items
    moved = galleries.corrections.move(here, template.template_id, from_id="bob", into_id="cid", caller="key:a").change
    merged = galleries.corrections.merge(here, "ann", "bob", caller="key:b").change
    undone = galleries.corrections.undo(here, merged.change_id).change
    again = galleries.corrections.merge(here, "ann", "bob").change
    assert listed().items == (again, undone, moved)
    assert [each.caller for each in listed().items] == ["", "key:b", "key:a"]
    first = listed(page_size=2)
    assert first.items == (again, undone)
    assert listed(page_size=2, page_token=first.next_page_token).items == (moved,)
    assert listed(subject_id="ann").items == (again, undone)
    with pytest.raises(InvalidPageToken):
        listed(subject_id="ann", page_token=first.next_page_token)

    expired = SubjectChange(frozenset({"expire_time"}), expire_time=now())
    store.update_subject(here, "cid", expired, etag="", new_etag="e", time=now())
    assert listed().items == (again, undone), "the change of a person who has expired is as if it did not exist"
    clock.ahead = timedelta(days=31)
    assert listed().items == ()


def test_outcomes_that_name_a_merged_subject_are_kept_as_counts_even_if_its_id_returns(
    store: Store, galleries: Galleries, here: str
) -> None:
    answer = GivenAnswer(b"n" * 12, now() + timedelta(days=1), Decision.MATCH, "ann", 0.75, None, 0.5, "", None)
    store.outcomes.report(here, Outcome("", answer, True, Truth.UNSAID, "", now()), most=9)
    wrong = replace(answer, nonce=b"w" * 12, subject_id="bob")
    store.outcomes.report(here, Outcome("", wrong, False, Truth.SUBJECT, "ann", now()), most=9)
    galleries.corrections.merge(here, "ann", "bob")
    enrollment = Enrollment(vectors(9)[8], "contract", "f" * 64, (0, 0, 1, 1), 1.0)
    galleries.enroll(here, "ann", enrollment)
    (right, mistaken) = store.outcomes.outcomes(here, after="", limit=9)
    assert (right.is_right, mistaken.is_right, mistaken.truth) == (True, False, Truth.SUBJECT)
    for left in (right, mistaken):
        assert left.is_forgotten
        assert not left.subjects


def test_the_mark_differs_after_every_correction_whatever_becomes_of_it(
    store: Store, galleries: Galleries, here: str, clock: ClockAhead
) -> None:
    marks = [store.changes.mark(here)]
    merged = galleries.corrections.merge(here, "ann", "bob").change
    marks.append(store.changes.mark(here))
    galleries.corrections.undo(here, merged.change_id)
    marks.append(store.changes.mark(here))
    template = galleries.list_templates(here, "cid", page_size=1).items[0].template_id
    galleries.corrections.move(here, template, from_id="cid", into_id="bob")
    marks.append(store.changes.mark(here))
    galleries.corrections.set_distinct(here, "ann", "cid", is_distinct=True)
    galleries.delete_subject(here, "bob")
    clock.ahead = timedelta(days=31)
    galleries.retention.erase()
    assert store.changes.mark(here) == marks[-1]
    assert None not in marks
    assert len(set(marks)) == 4
    other = galleries.create_gallery("", display_name="", threshold=0.5).gallery_id
    assert store.changes.mark(other) is not None
