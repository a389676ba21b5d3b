"""What undoes a change, and what makes that impossible."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gallery.corrections import change_json
from gallery.errors import SubjectNotFound, UndoConflict
from gallery.records.changes import Before, Change, MovedTemplate, Rearrangement, StoredChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject
from gallery.stores.base import Store


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
    is_unchanged = into.etag == before.into_etag
    return (
        Rearrangement(
            change.into_subject_id,
            change.from_subject_id,
            returned,
            undone,
            created=merged,
            updated=before.into if is_unchanged else None,
            added_pairs=before.pairs,
            removed_pairs=before.added_pairs,
            holders=before.holders,
        ),
        merged,
    )


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
