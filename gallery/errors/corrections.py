"""Errors about merging subjects, moving templates, telling subjects apart, and undoing that."""

from __future__ import annotations

from collections.abc import Mapping

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
