"""Everything that can be wrong with a gallery, drawn as a tree; each carries the ids that it is about.

GalleryError
    GalleryNotFound
    GalleryExists
    GalleryNotEmpty
    SubjectNotFound
    SubjectWithoutTemplates
    TemplateNotFound
    TooManyTemplates
    LooksLikeAnotherSubject
    ContractMismatch
    InvalidEmbedding
    RequestIdReused
    EtagMismatch
    InvalidPageToken
    InvalidImport
    TooFewSearches
    StorageError
        StorageFull
        StorageUnavailable
        StorageBusy
        SchemaTooNew
"""

from __future__ import annotations


class GalleryError(Exception):
    """Something is wrong with a gallery, with what is asked of it, or with where it is kept."""


class GalleryNotFound(GalleryError):
    """There is no such gallery."""

    def __init__(self, gallery_id: str) -> None:
        super().__init__(f"there is no gallery {gallery_id!r}")
        self.gallery_id = gallery_id


class GalleryExists(GalleryError):
    """The gallery's id is taken."""

    def __init__(self, gallery_id: str) -> None:
        super().__init__(f"there is a gallery {gallery_id!r} already")
        self.gallery_id = gallery_id


class GalleryNotEmpty(GalleryError):
    """The gallery holds subjects, and its deletion was not forced."""

    def __init__(self, gallery_id: str, subject_count: int) -> None:
        super().__init__(f"gallery {gallery_id!r} holds {subject_count} subjects")
        self.gallery_id = gallery_id
        self.subject_count = subject_count


class SubjectNotFound(GalleryError):
    """The gallery has no such subject."""

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(f"gallery {gallery_id!r} has no subject {subject_id!r}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class SubjectWithoutTemplates(GalleryError):
    """The subject has no template to compare with."""

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} has no template")
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class TemplateNotFound(GalleryError):
    """The subject has no such template."""

    def __init__(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} has no template {template_id!r}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.template_id = template_id


class TooManyTemplates(GalleryError):
    """The subject has as many templates as are allowed."""

    def __init__(self, gallery_id: str, subject_id: str, limit: int) -> None:
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} has {limit} templates, the most allowed")
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.limit = limit


class LooksLikeAnotherSubject(GalleryError):
    """The face to enrol would be identified as another subject of the gallery.

    Attributes:
        gallery_id: the gallery.
        subject_id: the other subject, which it resembles most.
        similarity: cosine to that subject's best template, [-1, 1].
        threshold: the gallery's, which the similarity reaches.
    """

    def __init__(self, gallery_id: str, subject_id: str, similarity: float, threshold: float) -> None:
        super().__init__(
            f"the face looks like subject {subject_id!r} of gallery {gallery_id!r}: "
            f"similarity {similarity:.4f}, threshold {threshold:.4f}"
        )
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.similarity = similarity
        self.threshold = threshold


class ContractMismatch(GalleryError):
    """An embedding, or the server's model, is of another contract than the gallery."""

    def __init__(self, gallery_id: str, expected: str, found: str) -> None:
        super().__init__(f"gallery {gallery_id!r} is of contract {expected!r}, not of {found!r}")
        self.gallery_id = gallery_id
        self.expected = expected
        self.found = found


class InvalidEmbedding(GalleryError):
    """An embedding is of another dimension, not finite, or without a length."""


class RequestIdReused(GalleryError):
    """The request id stands for another request of this gallery already."""

    def __init__(self, gallery_id: str, request_id: str) -> None:
        super().__init__(f"request id {request_id!r} was used for something else in gallery {gallery_id!r}")
        self.gallery_id = gallery_id
        self.request_id = request_id


class EtagMismatch(GalleryError):
    """The etag is not the current one: somebody changed the thing in between.

    Attributes:
        gallery_id: the gallery.
        subject_id: the subject; empty where the gallery itself was meant.
        expected: the current etag.
        found: the one that was sent.
    """

    def __init__(self, gallery_id: str, subject_id: str, *, expected: str, found: str) -> None:
        what = f"subject {subject_id!r} of gallery {gallery_id!r}" if subject_id else f"gallery {gallery_id!r}"
        super().__init__(f"{what} has the etag {expected!r} by now, not {found!r}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.expected = expected
        self.found = found


class InvalidPageToken(GalleryError):
    """The page token is none, or one of another list."""

    def __init__(self) -> None:
        super().__init__("the page token is not one of this list")


class InvalidImport(GalleryError):
    """A file is not an export of a gallery, or is damaged, or a line of it is not as it must be.

    Attributes:
        line: the line to blame, from 1; 0 where it is the file as a whole.
        field: the line's column, or the manifest's field; empty where it is neither.
        reason: what is wrong.
    """

    def __init__(self, reason: str, *, line: int = 0, field: str = "") -> None:
        where = [f"line {line}"] if line else []
        where += [field] if field else []
        super().__init__(f"{', '.join(where)}: {reason}" if where else reason)
        self.line = line
        self.field = field
        self.reason = reason


class TooFewSearches(GalleryError):
    """There is not enough evidence to choose a threshold from.

    Attributes:
        gallery_id: the gallery.
        found: how many searches compared a face with somebody.
        needed: how many it takes.
        people: of how many people they are.
        people_needed: of how many it takes.
    """

    def __init__(self, gallery_id: str, found: int, needed: int, *, people: int, people_needed: int) -> None:
        super().__init__(
            f"{found} searches for {people} unknown people compared a face with somebody in gallery {gallery_id!r}; "
            f"this target takes at least {needed}, of at least {people_needed} people"
        )
        self.gallery_id = gallery_id
        self.found = found
        self.needed = needed
        self.people = people
        self.people_needed = people_needed


class StorageError(GalleryError):
    """Where the galleries are kept fails."""


class StorageFull(StorageError):
    """There is no room on the disk."""


class StorageUnavailable(StorageError):
    """The database cannot be read or written, or is damaged, or is none of ours."""


class StorageBusy(StorageError):
    """Another process has the database open."""


class SchemaTooNew(StorageError):
    """The database was written by a newer version than this one."""

    def __init__(self, path: str, found: int, supported: int) -> None:
        super().__init__(f"{path} has schema version {found}; this version knows up to {supported}")
        self.path = path
        self.found = found
        self.supported = supported
