"""Errors of the gallery. Each carries a kind, a stable reason, and the ids of what it is about.

GalleryError
    GalleryNotFound
    GalleryExists
    GalleryNotEmpty
    SubjectNotFound
    SubjectWithoutTemplates
    TemplateNotFound
    TooManyTemplates
    LooksLikeAnotherSubject
    LooksUnlikeSubject
    ConsentRequired
    SubjectsWithoutConsent
    ExpiryNotStored
    ExportOutdated
    ContractMismatch
    InvalidEmbedding
    RequestIdReused
    EtagMismatch
    InvalidPageToken
    InvalidImport
    TooFewSearches
    ErasuresNotRecorded
    StorageError
        StorageFull
        StorageUnavailable
            DatabaseDamaged
            DatabaseReplaced
            KeysUnusable
        StorageBusy
        SchemaTooNew
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

Kind = Literal["invalid", "not_found", "exists", "precondition", "conflict", "exhausted", "unavailable"]

_MOST_SIMILARITIES = 10
"""The most similarities that an error lists for programs."""


class GalleryError(Exception):
    """A gallery operation failed.

    Attributes:
        kind: the category of failure, independent of any protocol.
        reason: stable identifier of the failure.
        request_field: the field of the request at fault; empty if only the caller knows its name, ``None`` if the error
            is not about one field.
        gallery_id: the gallery concerned, or empty.
        subject_id: the subject concerned, or empty.
        template_id: the template concerned, or empty.
    """

    kind: ClassVar[Kind]
    reason: ClassVar[str]
    request_field: str | None = None
    gallery_id: str = ""
    subject_id: str = ""
    template_id: str = ""

    @property
    def public_message(self) -> str:
        """The message for a remote caller, without paths of this machine."""
        return str(self)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Further facts for programs, by name."""
        return {}


class GalleryNotFound(GalleryError):
    """The gallery does not exist."""

    kind, reason = "not_found", "GALLERY_NOT_FOUND"

    def __init__(self, gallery_id: str) -> None:
        super().__init__(f"there is no gallery {gallery_id!r}")
        self.gallery_id = gallery_id


class GalleryExists(GalleryError):
    """The gallery's id is taken."""

    kind, reason = "exists", "GALLERY_EXISTS"

    def __init__(self, gallery_id: str) -> None:
        super().__init__(f"gallery {gallery_id!r} already exists")
        self.gallery_id = gallery_id


class GalleryNotEmpty(GalleryError):
    """The gallery still has subjects, and its deletion was not forced."""

    kind, reason = "precondition", "GALLERY_NOT_EMPTY"

    def __init__(self, gallery_id: str, subject_count: int) -> None:
        super().__init__(f"gallery {gallery_id!r} holds {subject_count} subjects; force deletes them too")
        self.gallery_id = gallery_id
        self.subject_count = subject_count


class SubjectNotFound(GalleryError):
    """The gallery has no such subject."""

    kind, reason = "not_found", "SUBJECT_NOT_FOUND"

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(f"gallery {gallery_id!r} has no subject {subject_id!r}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class SubjectWithoutTemplates(GalleryError):
    """The subject has no template to compare with."""

    kind, reason = "precondition", "SUBJECT_WITHOUT_TEMPLATES"

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} has no template")
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class TemplateNotFound(GalleryError):
    """The subject has no such template."""

    kind, reason = "not_found", "TEMPLATE_NOT_FOUND"

    def __init__(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} has no template {template_id!r}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.template_id = template_id


class TooManyTemplates(GalleryError):
    """The subject already has the maximum number of templates."""

    kind, reason = "precondition", "TOO_MANY_TEMPLATES"

    def __init__(self, gallery_id: str, subject_id: str, limit: int) -> None:
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} has {limit} templates, the most allowed")
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.limit = limit

    @property
    def metadata(self) -> Mapping[str, str]:
        """The limit."""
        return {"limit": str(self.limit)}


class LooksLikeAnotherSubject(GalleryError):
    """The face to enrol would be identified as another subject of the gallery.

    Attributes:
        gallery_id: the gallery.
        subject_id: the other subject, the one most similar to the face.
        similarity: cosine to that subject's best template, [-1, 1].
        threshold: the gallery's threshold, which the similarity reaches.
    """

    kind, reason = "precondition", "LOOKS_LIKE_ANOTHER_SUBJECT"

    def __init__(self, gallery_id: str, subject_id: str, similarity: float, threshold: float) -> None:
        super().__init__(
            f"the face looks like subject {subject_id!r} of gallery {gallery_id!r}: "
            f"similarity {similarity:.4f}, threshold {threshold:.4f}"
        )
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.similarity = similarity
        self.threshold = threshold

    @property
    def metadata(self) -> Mapping[str, str]:
        """The other subject, the similarity and the threshold."""
        return {
            "subject_id": self.subject_id,
            "similarity": f"{self.similarity:.4f}",
            "threshold": f"{self.threshold:.4f}",
        }


class LooksUnlikeSubject(GalleryError):
    """The face to enrol looks unlike every template of its own subject.

    Attributes:
        gallery_id: the gallery.
        subject_id: the subject.
        template_id: the most similar template.
        similarities: cosines to the subject's templates, [-1, 1], by template id, the most similar first.
        threshold: the lowest similarity that does not count as unlike.
    """

    kind, reason = "precondition", "LOOKS_UNLIKE_SUBJECT"

    def __init__(self, gallery_id: str, subject_id: str, similarities: Mapping[str, float], threshold: float) -> None:
        self.similarities = dict(sorted(similarities.items(), key=lambda each: -each[1]))
        self.template_id, best = next(iter(self.similarities.items()))
        super().__init__(
            f"the face looks unlike all {len(similarities)} templates of subject {subject_id!r} of gallery "
            f"{gallery_id!r}: similarity at most {best:.4f} (template {self.template_id}), at least {threshold:.4f} is "
            "expected; check that the picture shows this person, delete the templates if they show another one, or "
            "insist with accept_unlike"
        )
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.threshold = threshold

    @property
    def metadata(self) -> Mapping[str, str]:
        """The subject, its best similarity, the threshold, and the similarities to its best templates."""
        few = list(self.similarities.items())[:_MOST_SIMILARITIES]
        return {
            "subject_id": self.subject_id,
            "similarity": f"{self.similarities[self.template_id]:.4f}",
            "threshold": f"{self.threshold:.4f}",
            "templates": str(len(self.similarities)),
            "similarities": " ".join(f"{template_id}={similarity:.4f}" for template_id, similarity in few),
        }


class ContractMismatch(GalleryError):
    """An embedding, or the server's model, has another embedding contract than the gallery."""

    kind, reason = "precondition", "CONTRACT_MISMATCH"

    def __init__(self, gallery_id: str, expected: str, found: str) -> None:
        super().__init__(f"gallery {gallery_id!r} has the contract {expected!r}, not {found!r}")
        self.gallery_id = gallery_id
        self.expected = expected
        self.found = found

    @property
    def metadata(self) -> Mapping[str, str]:
        """Both contracts."""
        return {"expected": self.expected, "found": self.found}


class ConsentRequired(GalleryError):
    """The gallery requires a recorded consent of every subject, and the subject would have none."""

    kind, reason = "precondition", "CONSENT_REQUIRED"

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(
            f"gallery {gallery_id!r} requires a consent, and subject {subject_id!r} has none: send it with the "
            "enrolment, or record it before; to withdraw one, delete the subject"
        )
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class SubjectsWithoutConsent(GalleryError):
    """A gallery cannot require consents while it has subjects without one."""

    kind, reason = "precondition", "SUBJECTS_WITHOUT_CONSENT"

    def __init__(self, gallery_id: str, count: int) -> None:
        super().__init__(
            f"{count} subjects of gallery {gallery_id!r} have no consent: record their consents, or delete them, "
            "before the gallery requires one of everybody"
        )
        self.gallery_id = gallery_id
        self.count = count

    @property
    def metadata(self) -> Mapping[str, str]:
        """The number of subjects."""
        return {"count": str(self.count)}


class ExpiryNotStored(GalleryError):
    """The collections of Milvus were created by a version that knew neither consents nor expiries."""

    kind, reason = "precondition", "EXPIRY_NOT_STORED"

    def __init__(self) -> None:
        super().__init__(
            "the collections in Milvus were created by a version without consents and expiries: export the galleries, "
            "and import them into a server with another gallery.milvus_prefix"
        )


class ExportOutdated(GalleryError):
    """A gallery got its first consent or expiry while it was exported to a file without columns for them."""

    kind, reason = "conflict", "EXPORT_OUTDATED"

    def __init__(self, gallery_id: str) -> None:
        super().__init__(f"gallery {gallery_id!r} got its first consent or expiry during the export: repeat it")
        self.gallery_id = gallery_id


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


class TooFewSearches(GalleryError):
    """There is not enough evidence to choose a threshold from.

    Attributes:
        gallery_id: the gallery.
        found: searches that compared a face with at least one subject.
        needed: searches that the target requires.
        people: distinct people searched for.
        people_needed: distinct people that the target requires.
    """

    kind, reason = "precondition", "TOO_FEW_SEARCHES"

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

    @property
    def metadata(self) -> Mapping[str, str]:
        """The four counts."""
        counts = {
            "found": self.found,
            "needed": self.needed,
            "people": self.people,
            "people_needed": self.people_needed,
        }
        return {name: str(count) for name, count in counts.items()}


class ErasuresNotRecorded(GalleryError):
    """The store has no records of erasures."""

    kind, reason = "precondition", "ERASURES_NOT_RECORDED"

    def __init__(self) -> None:
        super().__init__("galleries in Milvus have no records of erasures: only the SQLite store keeps them")


class StorageError(GalleryError):
    """The storage behind the galleries failed. Its message may name paths, so remote callers get another one.

    Attributes:
        public_text: what remote callers read.
        change_was_made: the deletion or renaming was stored, and no answer shows the old data any more; only its traces
            in the files could not be erased yet.
    """

    kind: ClassVar[Kind] = "unavailable"
    reason = "STORAGE_UNAVAILABLE"
    public_text: ClassVar[str] = "the database cannot be used now"
    change_was_made: bool = False

    @property
    def public_message(self) -> str:
        """See :class:`GalleryError`."""
        if not self.change_was_made:
            return self.public_text
        return (
            f"{self.public_text}: the change was made and needs no repetition, but its traces are still in the "
            "database's files; the server erases them as soon as it can"
        )

    @property
    def metadata(self) -> Mapping[str, str]:
        """Whether the change was made all the same."""
        return {"change_was_made": "true"} if self.change_was_made else {}


class StorageFull(StorageError):
    """The disk is full."""

    kind, reason = "exhausted", "STORAGE_FULL"
    public_text = "there is no room for the database"


class StorageUnavailable(StorageError):
    """The database cannot be read or written, is damaged, or is not a Facet database."""


class DatabaseDamaged(StorageUnavailable):
    """The database is damaged, or the file is not a database at all.

    Attributes:
        problem: what is wrong, without the path.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"{path} is damaged: {problem}; facet gallery verify lists it, facet gallery restore puts a backup in its "
            "place"
        )
        self.problem = problem


class DatabaseReplaced(StorageUnavailable):
    """A file of the open database was deleted, replaced or cut off, or got a second name: nothing is stored in it."""

    public_text = "the files of the database were deleted or replaced; nothing is stored until the server is restarted"

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"{path} is no longer the database that was opened: {problem}; nothing is stored until that is undone or "
            "the server is restarted"
        )


class KeysUnusable(StorageUnavailable):
    """The keys of an encrypted database are missing, wrong, damaged, or those of another database."""

    public_text = "the keys of the database cannot be used now"


class StorageBusy(StorageError):
    """Another process has the database open."""


class SchemaTooNew(StorageError):
    """The database was written by a newer version of Facet."""

    def __init__(self, path: str, found: int, supported: int) -> None:
        super().__init__(f"{path} has schema version {found}; this version knows up to {supported}")
        self.path = path
        self.found = found
        self.supported = supported
