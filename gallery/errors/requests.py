"""Errors about what a caller sent."""

from __future__ import annotations

from collections.abc import Mapping

from gallery.errors.base import GalleryError


class InvalidEmbedding(GalleryError):
    """An embedding has the wrong dimension, a value that is not finite, or length zero."""

    kind, reason = "invalid", "INVALID_FIELD"
    request_field = ""


class RequestIdReused(GalleryError):
    """The request id already belongs to a different request on this gallery."""

    kind, reason = "exists", "REQUEST_ID_REUSED"
    request_field = "request_id"

    def __init__(self, gallery_id: str, request_id: str) -> None:
        super().__init__(f"request id {request_id!r} was used for a different request on gallery {gallery_id!r}")
        self.gallery_id = gallery_id
        self.request_id = request_id


class EtagMismatch(GalleryError):
    """The etag is out of date: the gallery or subject was changed in the meantime.

    Attributes:
        gallery_id: the gallery.
        subject_id: the subject; empty if the gallery itself has changed.
        expected: the current etag.
        found: the etag that was sent.
    """

    kind, reason = "conflict", "ETAG_MISMATCH"

    def __init__(self, gallery_id: str, subject_id: str, *, expected: str, found: str) -> None:
        what = f"subject {subject_id!r} of gallery {gallery_id!r}" if subject_id else f"gallery {gallery_id!r}"
        super().__init__(f"{what} now has the etag {expected!r}, not {found!r}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.expected = expected
        self.found = found


class InvalidPageToken(GalleryError):
    """The page token is malformed or belongs to another list."""

    kind, reason = "invalid", "INVALID_PAGE_TOKEN"
    request_field = "page_token"

    def __init__(self) -> None:
        super().__init__("the page token is not one of this list")


class InvalidRevision(GalleryError):
    """A revision is not one that a server has given."""

    kind, reason = "invalid", "INVALID_REVISION"
    request_field = "min_revision"

    def __init__(self) -> None:
        super().__init__("min_revision is not a revision of a gallery: use the one that the answer to a change has")


class RevisionNotFound(GalleryError):
    """The store does not have a revision any more that a server has given."""

    kind, reason = "precondition", "REVISION_NOT_FOUND"
    request_field = "min_revision"

    def __init__(self, gallery_id: str) -> None:
        super().__init__(
            f"gallery {gallery_id!r} does not have this revision: its database has lost changes in a failover, "
            "or it is a revision of another server; check what was changed, and search without it"
        )
        self.gallery_id = gallery_id


class InvalidResumeToken(GalleryError):
    """The resume token is malformed, or belongs to the search of another gallery."""

    kind, reason = "invalid", "INVALID_RESUME_TOKEN"
    request_field = "resume_token"

    def __init__(self) -> None:
        super().__init__("the resume token is not one of a search for duplicates in this gallery")


class InvalidImport(GalleryError):
    """A file is not an exported gallery, is damaged, or has an invalid line.

    Attributes:
        line: the line at fault, from 1; 0 for the file as a whole.
        field: the column of that line, or the field of the manifest; empty for neither.
        problem: what is wrong.
    """

    kind, reason = "invalid", "INVALID_IMPORT"
    request_field = "chunk"

    def __init__(self, problem: str, *, line: int = 0, field: str = "") -> None:
        where = [f"line {line}"] if line else []
        where += [field] if field else []
        super().__init__(f"{', '.join(where)}: {problem}" if where else problem)
        self.line = line
        self.field = field
        self.problem = problem

    @property
    def metadata(self) -> Mapping[str, str]:
        """The line and the field, if known."""
        where = {"line": str(self.line)} if self.line else {}
        return where | ({"field": self.field} if self.field else {})


class ExportOutdated(GalleryError):
    """An exported file would lack something because of what happened during the export.

    The gallery got its first consent or expiry, and the file has no columns for them; or templates went to other
    subjects, from pages that were not exported yet to some that were, or the other way round; or a migration was
    switched, rolled back or ended, so that other embeddings search.
    """

    kind, reason = "conflict", "EXPORT_OUTDATED"

    def __init__(self, gallery_id: str) -> None:
        super().__init__(
            f"gallery {gallery_id!r} got its first consent or expiry, a correction of who is who, or another model to "
            "search with during the export: repeat it"
        )
        self.gallery_id = gallery_id
