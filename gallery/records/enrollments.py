"""A face to enrol, and the result of enrolling it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gallery.records.consents import Consent
from gallery.records.subjects import Subject
from gallery.records.templates import Box, Template

MIN_SIMILARITY = 0.2
"""Default of the similarity below which a face looks unlike a template, for the packaged embedding model."""


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A face to enrol.

    Attributes:
        embedding: float32, shape ``(dimension,)``, of any length above zero.
        contract: the embedding contract it was made under.
        picture_sha256: hexadecimal digest of the picture's bytes.
        box: the face in the picture.
        quality: [0, 1].
        display_name: the subject's name, used if the subject is new.
        request_id: the caller's id of the request; empty for none.
        request_digest: a digest of the whole request. The same ``request_id`` with another digest is refused.
        accept_lookalike: enrol the face even if the gallery would identify it as another subject.
        accept_unlike: enrol the face even if it looks unlike its own subject.
        face_model: hexadecimal SHA-256 of the face detector.
        embedding_model: hexadecimal SHA-256 of the embedding model.
        crop: the aligned face as PNG, stored with the template; ``None`` to store none.
        consent: the person's consent. That of an existing subject is replaced if its basis or reference differs and it
            is earlier.
        expire_time: when a new subject expires. Of an existing one only the template expires then, unless the subject
            expires before; ``None`` for no time.
        further: embeddings of the same face by further contracts; see
            :meth:`gallery.galleries.Galleries.enrollment_contracts`.
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
    accept_unlike: bool = False
    face_model: str = ""
    embedding_model: str = ""
    crop: bytes | None = None
    consent: Consent | None = None
    expire_time: datetime | None = None
    further: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The result of an enrolment.

    Attributes:
        subject: the subject; its ``template_count`` includes the template.
        template: the template.
        already_enrolled: whether the template existed before.
        unlike: the subject's other templates that the face looks unlike, by id, with their similarities, the least
            similar first.
    """

    subject: Subject
    template: Template
    already_enrolled: bool
    unlike: Mapping[str, float] = field(default_factory=dict)
