"""What undoes a change, and what makes that impossible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from gallery.corrections import change_json
from gallery.corrections.change_records import ReadChange
from gallery.errors import SubjectNotFound, UndoConflict
from gallery.etags import new_etag
from gallery.records.changes import Before, Change, ChangeKind, MovedTemplate, Rearrangement, StoredChange
from gallery.records.distinct_pairs import Pair
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject
from gallery.stores.base import Store

_MERGED = ("create_time", "consent", "expire_time")
"""What a merge changes in the subject that gets the templates, beside its etag and time."""


def check_order(undone: ReadChange, merges: Iterable[ReadChange]) -> None:
    """Check that no later merge of the same people is in force: what it took over would be mixed up.

    The same people are the subject that has the templates, and those whom the merged subject was told apart from.

    Args:
        undone: the change to undo.
        merges: the merges that are in force, the latest first.

    Raises:
        UndoConflict: one is later; the error names the one to undo first.
    """
    change, before = undone.change, undone.before
    if change.kind is not ChangeKind.MERGE or before is None:
        return
    people = {change.into_subject_id} | {each for pair in before.pairs for each in pair}
    people.discard(change.from_subject_id)
    for later in merges:
        ids = (later.change.from_subject_id, later.change.into_subject_id)
        if later.order > undone.order and not people.isdisjoint(ids):
            problem = f"{ids[0]!r} was merged into {ids[1]!r} since; undo the change {later.change.change_id!r} first"
            raise UndoConflict(change.gallery_id, change.change_id, problem)


def undoing(
    store: Store, policy: GalleryPolicy, change: Change, before: Before, stored: StoredChange, *, now: datetime
) -> tuple[Rearrangement, Subject]:
    """Return what undoes a change, and the subject that gets its templates back.

    Args:
        store: the store.
        policy: of the gallery.
        change: the change.
        before: what it takes to undo it.
        stored: the change as it is stored.
        now: the time.

    Raises:
        UndoConflict: it cannot be undone.
        StorageError: the store cannot be read.
    """
    into = _existing(store, change, change.into_subject_id)
    returned = _returned(store, change, before)
    holders = (change.from_subject_id, change.into_subject_id)
    undone = StoredChange(
        change.change_id, stored.request_id, holders, stored.undo_until, change_json.to_text(change, None)
    )
    if before.merged is None:
        source = _existing(store, change, change.from_subject_id)
        return Rearrangement(change.into_subject_id, change.from_subject_id, returned, undone), source
    merged = before.merged
    _check_can_return(store, policy, change, merged, now=now)
    updated = _restored(into, before, now=now)
    if policy.require_consent and updated is not None and updated.consent is None:
        problem = f"subject {into.subject_id!r} would have no consent, and the gallery requires one: record one first"
        raise UndoConflict(change.gallery_id, change.change_id, problem)
    return (
        Rearrangement(
            change.into_subject_id,
            change.from_subject_id,
            returned,
            undone,
            created=merged,
            updated=updated,
            added_pairs=_pairs(store, change, before),
            removed_pairs=before.added_pairs,
            holders=before.holders,
        ),
        merged,
    )


def _restored(into: Subject, before: Before, *, now: datetime) -> Subject | None:
    """Return a subject as it was before another one was merged into it; what was set since stays."""
    if before.into is None or before.after is None:
        return None
    if into.etag == before.after.etag:
        return before.into
    values: dict[str, Any] = {}
    for name in _MERGED:
        was, merged = getattr(before.into, name), getattr(before.after, name)
        if was != merged == getattr(into, name):
            values[name] = was
    return replace(into, **values, etag=new_etag(), update_time=now) if values else None


def _pairs(store: Store, change: Change, before: Before) -> tuple[Pair, ...]:
    """Return the pairs of the subject that returns; those of ids that somebody else has now are left out."""
    return tuple(
        pair
        for pair in before.pairs
        if all(each == change.from_subject_id or _existed(store, change, each) for each in pair)
    )


def _existed(store: Store, change: Change, subject_id: str) -> bool:
    """Tell whether a subject exists, and existed when the change was made."""
    try:
        return store.subject(change.gallery_id, subject_id).create_time <= change.create_time
    except SubjectNotFound:
        return False


def _existing(store: Store, change: Change, subject_id: str) -> Subject:
    try:
        return store.subject(change.gallery_id, subject_id)
    except SubjectNotFound as error:
        problem = f"subject {subject_id!r} is gone; if it was merged into another one since, undo that first"
        raise UndoConflict(change.gallery_id, change.change_id, problem) from error


def _returned(store: Store, change: Change, before: Before) -> Sequence[MovedTemplate]:
    """Return the templates that go back; those that were deleted or have expired since are left out."""
    subjects = store.changes.subjects_of_templates(change.gallery_id, [each.new_id for each in before.moved])
    if any(subject_id != change.into_subject_id for subject_id in subjects.values()):
        problem = "a template was moved on since; undo that first"
        raise UndoConflict(change.gallery_id, change.change_id, problem)
    if before.merged is None and not subjects:
        raise UndoConflict(change.gallery_id, change.change_id, "the template was deleted since, or has expired")
    return [
        MovedTemplate(each.new_id, each.template_id, each.expire_time)
        for each in before.moved
        if each.new_id in subjects
    ]


def _check_can_return(store: Store, policy: GalleryPolicy, change: Change, merged: Subject, *, now: datetime) -> None:
    """Check that a subject that was merged can come back."""

    def conflict(problem: str) -> UndoConflict:
        return UndoConflict(change.gallery_id, change.change_id, f"subject {merged.subject_id!r} {problem}")

    try:
        store.subject(change.gallery_id, merged.subject_id)
    except SubjectNotFound:
        pass
    else:
        raise conflict("exists again, as another one")
    if policy.require_consent and merged.consent is None:
        raise conflict("has no consent, and the gallery requires one now")
    expiry = policy.subject_expiry(merged)
    if expiry is not None and expiry <= now:
        raise conflict("would have expired by now")
