"""What a gallery holds, what is brought to it, and what it answers."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gallery.records.calibrations import Calibration, CalibrationState

T = TypeVar("T")

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the upright picture, half-open."""

MAX_MEAN_OF_BEST = 16
"""The most templates that a subject's similarity can be the mean over."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """A set of subjects that are searched together.

    Attributes:
        gallery_id: the id.
        display_name: a name for people.
        threshold: a probe is a match where its similarity to the best subject reaches this; cosine in [-1,
            1], rounded to float32 as similarities are.
        mean_of_best: a subject's similarity is the mean over so many of its templates, the most similar ones, or
            over all where it has fewer; 1, which is the best template alone, to :data:`MAX_MEAN_OF_BEST`.
        contract: the embedding contract that all its templates are of.
        subject_count: how many subjects it holds.
        template_count: how many templates it holds.
        create_time: UTC, to the microsecond.
        update_time: when name, threshold or calibration was last changed; UTC, to the microsecond.
        etag: opaque; another one after every change of name, threshold or calibration.
        calibration: how its threshold was last chosen from evidence; ``None`` where it never was.
    """

    gallery_id: str
    display_name: str
    threshold: float
    mean_of_best: int
    contract: str
    subject_count: int
    template_count: int
    create_time: datetime
    update_time: datetime
    etag: str
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the faces belong to.

    Attributes:
        gallery_id: the gallery.
        subject_id: the id, unique in the gallery.
        display_name: a name for people.
        template_count: how many templates it has.
        create_time: UTC, to the microsecond.
        update_time: when the name was last changed; UTC, to the microsecond.
        etag: opaque; another one after every change of the name.
    """

    gallery_id: str
    subject_id: str
    display_name: str
    template_count: int
    create_time: datetime
    update_time: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class Template:
    """One enrolled face of a subject, without its embedding.

    Attributes:
        template_id: a UUIDv7, so that the order of ids is the order of enrolment; empty where the enrolment
            was only checked.
        gallery_id: the gallery.
        subject_id: the subject.
        picture_sha256: hexadecimal digest of the picture that it was taken from.
        box: where the face is in that picture.
        quality: how fit the face was for recognition, [0, 1].
        create_time: UTC, to the microsecond.
        face_model: hexadecimal SHA-256 of the model that found the face; empty where it is not known.
        embedding_model: the same of the model that embedded it.
        has_crop: whether the aligned face was kept.
    """

    template_id: str
    gallery_id: str
    subject_id: str
    picture_sha256: str
    box: Box
    quality: float
    create_time: datetime
    face_model: str = ""
    embedding_model: str = ""
    has_crop: bool = False


@dataclass(frozen=True, slots=True)
class StoredFace:
    """A subject with one of its templates, whole: a line of an export.

    Attributes:
        subject: the subject; its ``template_count`` says nothing here.
        template: the template; ``None`` for a subject without any.
        embedding: the template's, float32, of unit length; ``None`` without a template.
        crop: the aligned face as PNG; ``None`` where it was not kept.
    """

    subject: Subject
    template: Template | None
    embedding: NDArray[np.float32] | None
    crop: bytes | None


@dataclass(frozen=True, slots=True)
class EmbeddedTemplates:
    """Templates as an index wants them, column by column.

    Attributes:
        subject_ids: whose each is.
        display_names: the names of these subjects.
        template_ids: which each is.
        embeddings: float32, shape ``(n, dimension)``, of unit length.
    """

    subject_ids: Sequence[str]
    display_names: Sequence[str]
    template_ids: Sequence[str]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.template_ids)

    def __getitem__(self, rows: slice) -> EmbeddedTemplates:
        return EmbeddedTemplates(
            self.subject_ids[rows], self.display_names[rows], self.template_ids[rows], self.embeddings[rows]
        )


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A face that is to become a template.

    Attributes:
        embedding: shape ``(dimension,)``, float32, of any length but none.
        contract: the embedding contract that it was made under.
        picture_sha256: hexadecimal digest of the picture's bytes.
        box: where the face is in the picture.
        quality: [0, 1].
        display_name: the subject's name, taken where the subject is new.
        request_id: the caller's id of the request; empty for none.
        request_digest: a fingerprint of the whole request. The same ``request_id`` with another digest is
            refused.
        accept_lookalike: enrol also a face that would be identified as another subject.
        face_model: hexadecimal SHA-256 of the model that found the face.
        embedding_model: the same of the model that embedded it.
        crop: the aligned face as PNG, to be kept beside the template; ``None`` for none.
    """

    embedding: NDArray[np.float32]
    contract: str
    picture_sha256: str
    box: Box
    quality: float
    display_name: str = ""
    request_id: str = ""
    request_digest: str = ""
    accept_lookalike: bool = False
    face_model: str = ""
    embedding_model: str = ""
    crop: bytes | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What became of an enrolment.

    Attributes:
        subject: the subject, the template counted.
        template: the template.
        already_enrolled: whether the template was there before.
    """

    subject: Subject
    template: Template
    already_enrolled: bool


class Decision(enum.Enum):
    """What a gallery decides about a probe."""

    MATCH = "match"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    """The face is too poor to say."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that a probe resembles.

    Attributes:
        subject_id: the subject.
        display_name: its name for people; may be empty.
        similarity: cosine of the probe and the subject's best template, or the mean of several, as the gallery
            says; [-1, 1], rounded to float32.
        template_id: its best template.
    """

    subject_id: str
    display_name: str
    similarity: float
    template_id: str


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer to one probe.

    Attributes:
        decision: whether the best candidate reaches the threshold.
        candidates: the best subjects by falling similarity, ties by id; also where the decision is unknown.
        threshold: the one that was applied.
        margin: similarity of the best subject less that of the next; ``None`` where there are fewer than two.
        templates_compared: how many templates were compared.
        calibration: how the gallery's calibration stands.
        false_positive_rate: the chance that the best similarity of an unknown person is as high as the best
            candidate's; ``None`` without a candidate, or a calibration that says so.
    """

    decision: Decision
    candidates: tuple[Candidate, ...]
    threshold: float
    margin: float | None
    templates_compared: int
    calibration: CalibrationState = CalibrationState.NOT_CALIBRATED
    false_positive_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list.

    Attributes:
        items: in the order of the list.
        next_page_token: asks for what follows; empty on the last page.
    """

    items: tuple[T, ...]
    next_page_token: str
