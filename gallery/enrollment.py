"""How a face becomes a template: what was there before, what is refused, what is kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import uuid_utils
from numpy.typing import NDArray

from gallery.errors import LooksLikeAnotherSubject, RequestIdReused, TooManyTemplates
from gallery.index.base import Index
from gallery.records.records import Box, EmbeddedTemplates, Enrolled, Enrollment, Subject, Template
from gallery.registry import Searchable
from gallery.stores.base import Request, Store

SAME_FACE_IOU = 0.5
"""Two boxes in one picture that overlap this much (IoU) are of one face."""


@dataclass(frozen=True, slots=True)
class Enrolling:
    """Checks an enrolment, and keeps it; for whoever holds the gallery's lock for writers.

    Attributes:
        store: where templates are kept.
        searchable: the gallery.
        index: the gallery's.
        max_templates: how many templates a subject may have.
    """

    store: Store
    searchable: Searchable
    index: Index
    max_templates: int

    def check(self, subject_id: str, enrollment: Enrollment, embedding: NDArray[np.float32]) -> Enrolled:
        """Answer as if the face was enrolled; a new template, or a subject to be named, has no id yet.

        Args:
            subject_id: the subject; empty for a new one.
            enrollment: the face.
            embedding: the enrolment's, at unit length.

        Raises:
            RequestIdReused: the request id stands for another request.
            TooManyTemplates: the subject has as many as are allowed.
            LooksLikeAnotherSubject: the gallery would identify the face as another subject.
        """
        gallery_id = self.searchable.gallery_id
        known = self.store.known(
            gallery_id, subject_id, picture_sha256=enrollment.picture_sha256, request_id=enrollment.request_id
        )
        if known.answered is not None:
            return self._answered_before(*known.answered, enrollment)
        subject = known.subject
        if subject is not None:
            for template in known.templates_of_picture:
                if _same_face(template.box, enrollment.box):
                    return Enrolled(subject, template, already_enrolled=True)
            if subject.template_count >= self.max_templates:
                raise TooManyTemplates(gallery_id, subject_id, self.max_templates)
        if not enrollment.accept_lookalike:
            self._refuse_lookalike(subject_id, embedding)
        now = datetime.now(UTC)
        if subject is None:
            subject = Subject(gallery_id, subject_id, enrollment.display_name, 0, now, now, "")
        template = Template(
            template_id="",
            gallery_id=gallery_id,
            subject_id=subject_id,
            picture_sha256=enrollment.picture_sha256,
            box=enrollment.box,
            quality=enrollment.quality,
            create_time=now,
            face_model=enrollment.face_model,
            embedding_model=enrollment.embedding_model,
            has_crop=enrollment.crop is not None,
        )
        counted = replace(subject, template_count=subject.template_count + 1)
        return Enrolled(counted, template, already_enrolled=False)

    def keep(self, checked: Enrolled, enrollment: Enrollment, embedding: NDArray[np.float32]) -> Enrolled:
        """Write down what :meth:`check` answered, then let searches see it; the answer has its ids."""
        request = Request(enrollment.request_id, enrollment.request_digest) if enrollment.request_id else None
        if checked.already_enrolled:
            if request and not self.store.template_of_request(self.searchable.gallery_id, request.request_id):
                self.store.add_request(checked.template, request)
            return checked
        subject = checked.subject
        is_new = not subject.etag
        if is_new:
            subject_id = subject.subject_id or str(uuid_utils.uuid7())
            subject = replace(subject, subject_id=subject_id, etag=new_etag())
        template = replace(checked.template, template_id=str(uuid_utils.uuid7()), subject_id=subject.subject_id)
        # Memory that is wanting must be found out before the store has committed.
        self.index.reserve()
        self.store.add_template(
            template, embedding, new_subject=subject if is_new else None, request=request, crop=enrollment.crop
        )
        self.index.add(
            EmbeddedTemplates((subject.subject_id,), (subject.display_name,), (template.template_id,), embedding[None])
        )
        return Enrolled(subject, template, already_enrolled=False)

    def _answered_before(self, template: Template, digest: str, enrollment: Enrollment) -> Enrolled:
        gallery_id = self.searchable.gallery_id
        if digest != enrollment.request_digest:
            raise RequestIdReused(gallery_id, enrollment.request_id)
        subject = self.store.subject(gallery_id, template.subject_id)
        return Enrolled(subject, template, already_enrolled=True)

    def _refuse_lookalike(self, subject_id: str, embedding: NDArray[np.float32]) -> None:
        (ranked,) = self.index.search(
            embedding[None],
            subjects=1,
            mean_of_best=self.searchable.settings.mean_of_best,
            at_least=self.searchable.settings.threshold,
        )
        for nearest in ranked.candidates:
            if nearest.subject_id == subject_id or nearest.similarity < self.searchable.settings.threshold:
                return
            own = self.index.similarity(subject_id, embedding, mean_of_best=self.searchable.settings.mean_of_best)
            if own is None or nearest.similarity > own:
                raise LooksLikeAnotherSubject(
                    self.searchable.gallery_id,
                    nearest.subject_id,
                    nearest.similarity,
                    self.searchable.settings.threshold,
                )


def new_etag() -> str:
    """An etag that was never given before."""
    return secrets.token_hex(8)


def _same_face(one: Box, other: Box) -> bool:
    if one == other:
        return True
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared > 0 and shared >= SAME_FACE_IOU * (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
