"""Corrections of one gallery: what merged people become, what undoing gives back, and when it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gallery.errors import (
    ChangeNotFound,
    EtagMismatch,
    RequestIdReused,
    SameSubject,
    SubjectNotFound,
    TemplateNotFound,
    TooManyTemplates,
    UndoConflict,
    UndoExpired,
)
from gallery.galleries import Galleries
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.galleries import GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import SubjectChange, renaming
from gallery.times import now
from tests.clock_ahead import ClockAhead
from tests.unit.gallery.samples import axis, face, opened

DAY = timedelta(days=1)


@pytest.fixture
def clock() -> ClockAhead:
    return ClockAhead()


@pytest.fixture
def team(tmp_path: Path, clock: ClockAhead) -> Iterator[Galleries]:
    """The gallery "g" with ann, of two faces, bob and cid."""
    galleries = opened(tmp_path / "facet.db", max_templates=3, clock=clock)
    galleries.create_gallery("g", display_name="Team", threshold=0.5)
    for number, subject_id in enumerate(("ann", "ann", "bob", "cid")):
        galleries.enroll("g", subject_id, face(axis(number), name=subject_id.title()))
    yield galleries
    galleries.close()


def give(
    galleries: Galleries, subject_id: str, consent: Consent | None = None, *, expire_time: datetime | None = None
) -> None:
    """Record a consent, a time to expire, or both."""
    fields = {"consent": consent, "expire_time": expire_time}
    given = frozenset(name for name, value in fields.items() if value is not None)
    galleries.update_subject("g", subject_id, SubjectChange(given, consent=consent, expire_time=expire_time))


def test_the_earlier_consent_and_the_earlier_expiry_apply(team: Galleries) -> None:
    early = Consent(ConsentBasis.CONSENT, "form 1", datetime(2026, 1, 1, tzinfo=UTC))
    late = Consent(ConsentBasis.CONTRACT, "form 2", datetime(2026, 3, 1, tzinfo=UTC))
    soon = now() + 3 * DAY
    give(team, "ann", early, expire_time=now() + 9 * DAY)
    give(team, "bob", late, expire_time=soon)
    merged = team.corrections.merge("g", "bob", "ann").subject
    assert (merged.subject_id, merged.display_name, merged.consent, merged.expire_time) == ("ann", "Ann", early, soon)
    assert team.get_subject("g", "ann") == merged


def test_nobody_is_kept_longer_by_a_merge_than_by_the_policy_before(team: Galleries, clock: ClockAhead) -> None:
    team.change_gallery("g", GalleryChange(policy=GalleryPolicy(subject_retention=10 * DAY)))
    clock.ahead = 4 * DAY
    team.enroll("g", "dora", face(axis(9)))
    expiry = team.get_subject("g", "ann").create_time + 10 * DAY
    merged = team.corrections.merge("g", "ann", "dora").subject
    assert team.policy("g").subject_expiry(merged) == expiry


def test_etags_request_ids_limits_and_one_subject_twice_are_checked(team: Galleries) -> None:
    corrections = team.corrections
    for etags in ({"from_etag": "old"}, {"into_etag": "old"}):
        with pytest.raises(EtagMismatch):
            corrections.merge("g", "bob", "ann", **etags)
    with pytest.raises(SameSubject):
        corrections.merge("g", "ann", "ann")
    corrections.merge("g", "bob", "ann", request_id="r")
    with pytest.raises(RequestIdReused):
        corrections.merge("g", "cid", "ann", request_id="r")
    with pytest.raises(TooManyTemplates, match="would have 4 templates"):
        corrections.merge("g", "cid", "ann")
    assert team.get_gallery("g").template_count == 4


def test_faces_enrolled_and_names_given_since_stay(team: Galleries) -> None:
    before = team.get_subject("g", "bob")
    made = team.corrections.merge("g", "bob", "cid").change
    team.enroll("g", "cid", face(axis(7)))
    team.update_subject("g", "cid", renaming("Sid"))
    team.corrections.undo("g", made.change_id)
    assert team.get_subject("g", "bob") == before
    cid = team.get_subject("g", "cid")
    assert (cid.display_name, cid.template_count) == ("Sid", 2)


def test_changes_of_the_same_people_are_undone_in_reverse_order(team: Galleries) -> None:
    team.delete_template("g", "ann", team.list_templates("g", "ann", page_size=1).items[0].template_id)
    people = [team.get_subject("g", each) for each in ("ann", "bob", "cid")]
    first = team.corrections.merge("g", "bob", "cid").change
    (template,) = first.template_ids
    second = team.corrections.move("g", template, from_id="cid", into_id="ann").change
    with pytest.raises(UndoConflict, match="undo that first"):
        team.corrections.undo("g", first.change_id)
    team.corrections.undo("g", second.change_id)
    third = team.corrections.merge("g", "cid", "ann")
    with pytest.raises(UndoConflict, match=third.change.change_id):
        team.corrections.undo("g", first.change_id)
    team.corrections.undo("g", third.change.change_id)
    team.corrections.undo("g", first.change_id)
    assert [team.get_subject("g", each.subject_id) for each in people] == people


@pytest.mark.parametrize("spoiled", ["id taken", "consent required", "template deleted"])
def test_what_was_changed_since_can_make_undoing_impossible(team: Galleries, spoiled: str) -> None:
    if spoiled == "template deleted":
        (template, *_) = team.list_templates("g", "ann", page_size=5).items
        made = team.corrections.move("g", template.template_id, from_id="ann", into_id="bob").change
        team.delete_template("g", "bob", template.template_id)
    else:
        made = team.corrections.merge("g", "bob", "cid").change
    if spoiled == "id taken":
        team.enroll("g", "bob", face(axis(11)))
    if spoiled == "consent required":
        given = Consent(ConsentBasis.CONSENT, "", datetime(2026, 1, 1, tzinfo=UTC))
        for subject_id in ("ann", "cid"):
            give(team, subject_id, given)
        team.change_gallery("g", GalleryChange(policy=GalleryPolicy(require_consent=True)))
    with pytest.raises(UndoConflict):
        team.corrections.undo("g", made.change_id)
    assert team.get_gallery("g").template_count == 4 - (spoiled == "template deleted") + (spoiled == "id taken")


def test_nothing_is_corrected_across_galleries(team: Galleries) -> None:
    team.create_gallery("h", display_name="Others", threshold=0.5)
    team.enroll("h", "ann", face(axis(0)))
    team.enroll("h", "eve", face(axis(5)))
    (template,) = team.list_templates("g", "bob", page_size=5).items
    with pytest.raises(SubjectNotFound):
        team.corrections.merge("h", "bob", "ann")
    with pytest.raises(TemplateNotFound):
        team.corrections.move("h", template.template_id, from_id="ann", into_id="eve")
    made = team.corrections.merge("g", "bob", "ann").change
    with pytest.raises(ChangeNotFound):
        team.corrections.undo("h", made.change_id)
    assert team.get_gallery("h").template_count == 2


def test_a_change_cannot_be_undone_after_its_time_also_after_a_restart(
    team: Galleries, clock: ClockAhead, tmp_path: Path
) -> None:
    made = team.corrections.merge("g", "bob", "cid").change
    assert made.undo_until - made.create_time == 30 * DAY
    clock.ahead = 31 * DAY
    for _ in range(2):
        with pytest.raises(UndoExpired):
            team.corrections.undo("g", made.change_id)
        team.retention.erase()
    team.close()
    assert b"Bob" not in b"".join(path.read_bytes() for path in tmp_path.glob("facet.db*"))


def test_what_undoes_a_merge_is_forgotten_with_the_merged_person(team: Galleries, tmp_path: Path) -> None:
    team.corrections.merge("g", "bob", "cid")
    team.delete_subject("g", "cid")
    assert b"Bob" not in b"".join(path.read_bytes() for path in tmp_path.glob("facet.db*"))


def test_everything_is_found_again_after_a_restart(team: Galleries, clock: ClockAhead, tmp_path: Path) -> None:
    made = team.corrections.merge("g", "bob", "cid").change
    team.corrections.set_distinct("g", "ann", "cid", is_distinct=True)
    team.close()
    again = opened(tmp_path / "facet.db", max_templates=3, clock=clock)
    assert again.distinct_pairs("g").are_distinct("cid", "ann")
    assert again.search("g", axis(2)[None], top_k=1)[0].candidates[0].subject_id == "cid"
    again.corrections.undo("g", made.change_id)
    assert again.search("g", axis(2)[None], top_k=1)[0].candidates[0].subject_id == "bob"
    again.close()
