"""Templates: the enrolled faces of subjects, with and without their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gallery.records.subjects import Subject

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the upright picture, half-open."""


@dataclass(frozen=True, slots=True)
class Template:
    """One enrolled face of a subject, without its embedding.

    Attributes:
        template_id: a UUIDv7, so ids sort by enrolment time; empty if the enrolment was only validated.
        gallery_id: the gallery.
        subject_id: the subject.
        picture_sha256: hexadecimal digest of the source picture.
        box: the face in that picture.
        quality: fitness for recognition, [0, 1].
        create_time: UTC, to the microsecond.
        face_model: hexadecimal SHA-256 of the face detector; empty if unknown.
        embedding_model: hexadecimal SHA-256 of the embedding model; empty if unknown.
        has_crop: whether the aligned face is stored.
        expire_time: when the template expires; ``None`` if no time was set. Its subject, or the policy of its gallery,
            may let it expire before.
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
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredFace:
    """A subject with one of its templates and everything stored for it: one line of an export.

    Attributes:
        subject: the subject; ``template_count`` is not meaningful here.
        template: the template; ``None`` if the subject has none.
        embedding: float32, shape ``(dimension,)``, unit length, under the gallery's contract; ``None`` without a
            template, or without an embedding under this contract.
        crop: the aligned face as PNG; ``None`` if it is not stored.
        other_embedding: the same under the other contract of the gallery's migration; ``None`` if there is none.
    """

    subject: Subject
    template: Template | None
    embedding: NDArray[np.float32] | None
    crop: bytes | None
    other_embedding: NDArray[np.float32] | None = None

    @property
    def has_terms(self) -> bool:
        """Whether the subject has a consent, or one of the two a time at which it expires."""
        terms = (self.subject.consent, self.subject.expire_time, self.template and self.template.expire_time)
        return any(each is not None for each in terms)

    @property
    def key(self) -> tuple[str, str]:
        """Subject id and template id, the sort key of faces; an empty template id without a template."""
        return self.subject.subject_id, self.template.template_id if self.template else ""


@dataclass(frozen=True, slots=True)
class EmbeddedTemplates:
    """Templates as an index takes them, column by column.

    Attributes:
        subject_ids: the subject of each template.
        display_names: the names of those subjects.
        template_ids: the ids of the templates.
        embeddings: float32, shape ``(n, dimension)``, unit length.
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

    def at(self, rows: NDArray[np.intp]) -> EmbeddedTemplates:
        """Return the templates at some positions."""
        subject_ids, names, template_ids = (
            [column[row] for row in rows.tolist()]
            for column in (self.subject_ids, self.display_names, self.template_ids)
        )
        return EmbeddedTemplates(subject_ids, names, template_ids, self.embeddings[rows])
