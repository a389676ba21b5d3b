"""Records of what was erased: they prove an erasure, and hold no personal data."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

KEEP_ERASURES = timedelta(days=3 * 365 + 1)
"""How long records are kept by default: three years."""


class ErasureCause(enum.Enum):
    """Why something was erased. The values are stored."""

    SUBJECT_DELETED = "subject_deleted"
    TEMPLATE_DELETED = "template_deleted"
    GALLERY_DELETED = "gallery_deleted"
    SUBJECT_EXPIRED = "subject_expired"
    TEMPLATE_EXPIRED = "template_expired"


class ErasureOutcome(enum.Enum):
    """What a search of the files for the erased bytes found. The values are stored."""

    PENDING = ""
    """The bytes may still be in the files, or the search is not done."""
    NOT_FOUND = "not_found"
    """The bytes are in none of the database's files."""
    FOUND = "found"
    """The bytes are in one of the database's files, and no living template accounts for them."""
    NOT_SEARCHED = "not_searched"
    """The process ended before it could search. The next one has overwritten every unused byte of the file."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The record of one erasure.

    Attributes:
        erasure_id: a UUIDv7, so ids sort by time.
        gallery_id: the gallery.
        subject_hash: hexadecimal HMAC-SHA-256 of the ids of gallery and subject, under a key of the database; empty if
            a whole gallery was erased.
        cause: why.
        subjects: the number of subjects that were erased; 0 if only templates were.
        templates: the number of templates.
        crops: the number of stored faces.
        requests: the number of enrolment requests.
        erase_time: when they left the store, and with it every list and search; UTC, to the microsecond.
        gone_time: when their bytes were in no file of the database any more, at the latest; ``None`` until then.
        outcome: what a search of the files for the erased bytes found.
        values_searched: the number of values that were searched for: embeddings, crops, names and requests, of large
            erasures a sample.
        values_kept: those of them that living templates have as well, such as the same picture in another gallery.
        bytes_searched: the bytes of the database's files that were searched; of large databases a sample.
        bytes_present: the size of these files.
        other_files: the number of other files in the database's folder in which the bytes are, such as backups.
        key_destroyed: whether the data key of the gallery was destroyed, so that backups of it cannot be read.
    """

    erasure_id: str
    gallery_id: str
    subject_hash: str
    cause: ErasureCause
    subjects: int
    templates: int
    crops: int
    requests: int
    erase_time: datetime
    gone_time: datetime | None = None
    outcome: ErasureOutcome = ErasureOutcome.PENDING
    values_searched: int = 0
    values_kept: int = 0
    bytes_searched: int = 0
    bytes_present: int = 0
    other_files: int = 0
    key_destroyed: bool = False


@dataclass(frozen=True, slots=True)
class MadeCopy:
    """A copy of people's data that the server knows of, and that an erasure does not reach.

    Attributes:
        kind: ``backup``, ``export``, ``access_report`` or ``duplicates``.
        gallery_id: the gallery; empty for all.
        time: when it was made, UTC.
    """

    kind: str
    gallery_id: str
    time: datetime
