"""Errors about merging subjects, moving templates, telling subjects apart, and undoing that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from gallery.errors.base import GalleryError


class SameSubject(GalleryError):
    """A subject cannot be merged with itself, told apart from itself, or given its own template."""

    kind, reason = "invalid", "SAME_SUBJECT"
    request_field = ""

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(f"this takes two subjects of gallery {gallery_id!r}, and {subject_id!r} was named twice")
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class TooManyDistinctPairs(GalleryError):
    """The gallery has the most pairs of subjects that can be told apart."""

    kind, reason = "precondition", "TOO_MANY_DISTINCT_PAIRS"

    def __init__(self, gallery_id: str, limit: int) -> None:
        super().__init__(f"{limit} pairs of subjects of gallery {gallery_id!r} were told apart, the most allowed")
        self.gallery_id = gallery_id
        self.limit = limit

    @property
    def metadata(self) -> Mapping[str, str]:
        """The limit."""
        return {"limit": str(self.limit)}


class DistinctSubjects(GalleryError):
    """The subjects were told apart, so they are not merged.

    Attributes:
        gallery_id: the gallery.
        subject_id: the subject that was to be merged.
        other_id: the subject that it was to be merged into.
    """

    kind, reason = "precondition", "DISTINCT_SUBJECTS"

    def __init__(self, gallery_id: str, subject_id: str, other_id: str) -> None:
        super().__init__(
            f"subjects {subject_id!r} and {other_id!r} of gallery {gallery_id!r} were told apart: "
            "take that back first if they are one person"
        )
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.other_id = other_id


class ChangeNotFound(GalleryError):
    """The gallery has no such change, or a subject that it was about is gone."""

    kind, reason = "not_found", "CHANGE_NOT_FOUND"

    def __init__(self, gallery_id: str, change_id: str) -> None:
        super().__init__(
            f"gallery {gallery_id!r} has no change {change_id!r}, or a subject that it was about was deleted, or has "
            "expired, since"
        )
        self.gallery_id = gallery_id


class UndoExpired(GalleryError):
    """The change was made too long ago to be undone."""

    kind, reason = "precondition", "UNDO_EXPIRED"

    def __init__(self, gallery_id: str, change_id: str, undo_until: datetime) -> None:
        super().__init__(
            f"the change {change_id!r} of gallery {gallery_id!r} could be undone until {undo_until:%Y-%m-%d %H:%M} UTC"
        )
        self.gallery_id = gallery_id
        self.undo_until = undo_until

    @property
    def metadata(self) -> Mapping[str, str]:
        """Until when it could be undone."""
        return {"undo_until": self.undo_until.isoformat()}


class ChangeUndone(GalleryError):
    """The request made a change that was undone since, so it is not made again."""

    kind, reason = "precondition", "CHANGE_UNDONE"

    def __init__(self, gallery_id: str, change_id: str) -> None:
        super().__init__(
            f"the request made the change {change_id!r} of gallery {gallery_id!r}, which was undone since: "
            "send another request id to make it again"
        )
        self.gallery_id = gallery_id


class UndoConflict(GalleryError):
    """The change cannot be undone, because of what was changed since."""

    kind, reason = "precondition", "UNDO_CONFLICT"

    def __init__(self, gallery_id: str, change_id: str, problem: str) -> None:
        super().__init__(f"the change {change_id!r} of gallery {gallery_id!r} cannot be undone: {problem}")
        self.gallery_id = gallery_id
