"""Several merges of the same people: they are undone in reverse order, and nobody keeps what another one had."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gallery.errors import ChangeUndone, RequestIdReused, SubjectMerged, UndoConflict, UndoExpired
from gallery.galleries import Galleries
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.galleries import GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import SubjectChange, renaming
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import now
from tests.clock_ahead import ClockAhead
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face, opened

DAY = timedelta(days=1)
GIVEN = Consent(ConsentBasis.CONSENT, "form of bob", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def clock() -> ClockAhead:
    return ClockAhead()


@pytest.fixture
def team(tmp_path: Path, clock: ClockAhead) -> Iterator[Galleries]:
    """The gallery "g" with ann, bob, cid and dan, of one face each."""
    galleries = opened(tmp_path / "facet.db", clock=clock)
    galleries.create_gallery("g", display_name="Team", threshold=0.5)
    for number, subject_id in enumerate(("ann", "bob", "cid", "dan")):
        galleries.enroll("g", subject_id, face(axis(number), name=subject_id.title()))
    yield galleries
    galleries.close()


def give(galleries: Galleries, subject_id: str, *, expire_time: datetime) -> None:
    """Record a consent and a time to expire."""
    fields = frozenset({"consent", "expire_time"})
    galleries.update_subject("g", subject_id, SubjectChange(fields, consent=GIVEN, expire_time=expire_time))


def require_consent(galleries: Galleries) -> None:
    galleries.change_gallery("g", GalleryChange(policy=GalleryPolicy(require_consent=True)))


def stored(folder: Path) -> bytes:
    """Everything that is in the files of the database."""
    return b"".join(path.read_bytes() for path in folder.glob("facet.db*"))


def test_the_later_of_two_merges_into_one_person_is_undone_first(team: Galleries) -> None:
    give(team, "bob", expire_time=now() + 5 * DAY)
    people = [team.get_subject("g", each) for each in ("ann", "bob", "cid")]
    first = team.corrections.merge("g", "bob", "ann").change
    second = team.corrections.merge("g", "cid", "ann").change
    with pytest.raises(UndoConflict, match=second.change_id):
        team.corrections.undo("g", first.change_id)
    for each in (second, first):
        team.corrections.undo("g", each.change_id)
    assert [team.get_subject("g", each.subject_id) for each in people] == people


def test_a_person_who_was_renamed_since_gives_the_others_consent_and_expiry_back(team: Galleries) -> None:
    give(team, "bob", expire_time=now() + 5 * DAY)
    made = team.corrections.merge("g", "bob", "ann").change
    team.update_subject("g", "ann", renaming("Anna"))
    team.corrections.undo("g", made.change_id)
    ann = team.get_subject("g", "ann")
    assert (ann.display_name, ann.consent, ann.expire_time) == ("Anna", None, None)


def test_an_expiry_that_was_set_since_stays(team: Galleries) -> None:
    give(team, "bob", expire_time=now() + 5 * DAY)
    made = team.corrections.merge("g", "bob", "ann").change
    chosen = now() + 9 * DAY
    team.update_subject("g", "ann", SubjectChange(frozenset({"expire_time"}), expire_time=chosen))
    team.corrections.undo("g", made.change_id)
    ann = team.get_subject("g", "ann")
    assert (ann.consent, ann.expire_time) == (None, chosen)


def test_undoing_leaves_nobody_without_the_consent_that_the_gallery_requires(team: Galleries) -> None:
    for subject_id in ("bob", "cid", "dan"):
        give(team, subject_id, expire_time=now() + 5 * DAY)
    made = team.corrections.merge("g", "bob", "ann").change
    require_consent(team)
    with pytest.raises(UndoConflict, match="'ann' would have no consent"):
        team.corrections.undo("g", made.change_id)
    own = Consent(ConsentBasis.CONTRACT, "form of ann", datetime(2026, 2, 1, tzinfo=UTC))
    team.update_subject("g", "ann", SubjectChange(frozenset({"consent"}), consent=own))
    team.corrections.undo("g", made.change_id)
    assert team.get_subject("g", "ann").consent == own


def test_pairs_of_two_who_were_both_merged_return_in_order_only(team: Galleries) -> None:
    team.corrections.set_distinct("g", "bob", "cid", is_distinct=True)
    first = team.corrections.merge("g", "bob", "ann").change
    second = team.corrections.merge("g", "cid", "dan").change
    with pytest.raises(UndoConflict, match=second.change_id):
        team.corrections.undo("g", first.change_id)
    assert team.distinct_pairs("g").pairs == {("ann", "dan")}
    for each in (second, first):
        team.corrections.undo("g", each.change_id)
    assert team.distinct_pairs("g").pairs == {("bob", "cid")}


def test_a_pair_that_was_told_apart_since_stays(team: Galleries) -> None:
    team.corrections.set_distinct("g", "bob", "cid", is_distinct=True)
    made = team.corrections.merge("g", "bob", "ann").change
    team.corrections.set_distinct("g", "cid", "ann", is_distinct=True)
    team.corrections.undo("g", made.change_id)
    assert team.distinct_pairs("g").pairs == {("ann", "cid"), ("bob", "cid")}


def test_a_pair_does_not_return_to_somebody_else_with_the_same_id(team: Galleries) -> None:
    team.corrections.set_distinct("g", "bob", "cid", is_distinct=True)
    made = team.corrections.merge("g", "bob", "ann").change
    team.delete_subject("g", "cid")
    team.enroll("g", "cid", face(axis(9)))
    team.corrections.undo("g", made.change_id)
    assert not team.distinct_pairs("g")


@pytest.mark.parametrize("by", ["a time of its own", "a policy set later"])
def test_what_undoes_a_merge_goes_when_the_merged_person_would_have_expired(
    team: Galleries, clock: ClockAhead, tmp_path: Path, by: str
) -> None:
    if by == "a time of its own":
        give(team, "bob", expire_time=now() + 2 * DAY)
    made = team.corrections.merge("g", "bob", "ann").change
    if by == "a policy set later":
        team.change_gallery("g", GalleryChange(policy=GalleryPolicy(subject_retention=2 * DAY)))
    team.update_subject("g", "ann", SubjectChange(frozenset({"expire_time"}), expire_time=now() + 90 * DAY))
    assert b"Bob" in stored(tmp_path)
    clock.ahead = 3 * DAY
    team.retention.erase()
    assert b"Bob" not in stored(tmp_path)
    if by == "a time of its own":
        with pytest.raises(UndoExpired):
            team.corrections.undo("g", made.change_id)


def test_without_a_time_to_undo_nothing_is_kept_for_it(tmp_path: Path) -> None:
    galleries = Galleries(
        SqliteStore(tmp_path / "facet.db"),
        contract=CONTRACT,
        dimension=DIMENSION,
        max_templates_per_subject=5,
        undo_for=timedelta(0),
    )
    galleries.create_gallery("g", display_name="Team", threshold=0.5)
    for number, subject_id in enumerate(("ann", "bob")):
        galleries.enroll("g", subject_id, face(axis(number), name=subject_id.title()))
    made = galleries.corrections.merge("g", "bob", "ann", request_id="r").change
    assert b"Bob" not in stored(tmp_path)
    with pytest.raises(UndoExpired):
        galleries.corrections.undo("g", made.change_id)
    galleries.close()


def test_a_repeated_request_gets_its_change_and_the_person_who_has_the_templates_now(team: Galleries) -> None:
    corrections = team.corrections
    (template,) = team.list_templates("g", "bob", page_size=5).items
    moved = corrections.move("g", template.template_id, from_id="bob", into_id="cid", request_id="move").change
    merged = corrections.merge("g", "cid", "dan", from_etag="", request_id="merge").change
    corrections.merge("g", "dan", "ann")
    again = corrections.merge("g", "cid", "dan", request_id="merge")
    assert (again.change, again.subject) == (merged, team.get_subject("g", "ann"))
    again = corrections.move("g", template.template_id, from_id="bob", into_id="cid", request_id="move")
    assert (again.change, again.subject) == (moved, team.get_subject("g", "ann"))
    with pytest.raises(RequestIdReused):
        corrections.merge("g", "cid", "dan", from_etag="another", request_id="merge")


def test_a_repeated_request_is_refused_once_its_change_was_undone(team: Galleries) -> None:
    made = team.corrections.merge("g", "bob", "ann", request_id="r").change
    team.corrections.undo("g", made.change_id)
    with pytest.raises(ChangeUndone, match=made.change_id):
        team.corrections.merge("g", "bob", "ann", request_id="r")
    assert team.get_subject("g", "bob").template_count == 1


def test_whoever_forgets_a_merged_person_is_told_what_would_bring_that_person_back(team: Galleries) -> None:
    made = team.corrections.merge("g", "bob", "ann").change
    team.corrections.merge("g", "ann", "cid")
    with pytest.raises(SubjectMerged) as refused:
        team.delete_subject("g", "bob")
    assert refused.value.metadata == {"change_id": made.change_id, "merged_into": "cid"}
    assert refused.value.reason == "SUBJECT_NOT_FOUND"


def test_undoing_can_be_tried_without_undoing(team: Galleries) -> None:
    before = team.get_subject("g", "ann")
    made = team.corrections.merge("g", "bob", "ann")
    tried = team.corrections.undo("g", made.change.change_id, validate_only=True)
    assert (tried.change.is_undone, tried.change.from_subject_id) == (True, "bob")
    assert team.get_subject("g", "ann") == made.subject
    assert team.corrections.undo("g", made.change.change_id) == tried
    assert team.get_subject("g", "ann") == before
