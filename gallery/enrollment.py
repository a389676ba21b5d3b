"""How a face becomes a template: what already exists, what is refused, what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gallery.embeddings import normalized
from gallery.errors import (
    ConsentRequired,
    ContractMismatch,
    LooksUnlikeSubject,
    RequestIdReused,
    TooManyTemplates,
)
from gallery.etags import new_etag
from gallery.index.protocol import Index
from gallery.lookalikes import LookalikeSearch
from gallery.open_gallery import OpenGallery
from gallery.records.consents import Consent
from gallery.records.enrollments import Enrolled, Enrollment
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import Box, EmbeddedTemplates, Template
from gallery.registry import GalleryRegistry
from gallery.stores.base import EnrollmentRequest, Store
from gallery.times import new_id

SAME_FACE_IOU = 0.5
"""Two boxes in one picture are the same face if their IoU is at least this."""

_TEMPLATES_TO_REFUSE = 2
"""The fewest templates that can refuse a face. One alone may be a photo of the person as a child."""


class Enroller:
    """Enrols faces.

    Args:
        store: where templates are stored.
        registry: the open galleries.
        max_templates: the most templates of a subject, at least 1.
        min_similarity: a face looks unlike a template of its subject below this similarity, [-1, 1].
    """

    def __init__(self, store: Store, registry: GalleryRegistry, *, max_templates: int, min_similarity: float) -> None:
        self._store = store
        self._registry = registry
        self._max_templates = max_templates
        self._min_similarity = min_similarity

    def enroll(
        self, gallery_id: str, subject_id: str, enrollment: Enrollment, *, validate_only: bool = False
    ) -> Enrolled:
        """Add a face as a template of a subject, which is created if it does not exist.

        A face is enrolled once: if the subject has a template from the same picture whose box overlaps by
        :data:`SAME_FACE_IOU`, that template is returned. Another face of the picture is another template. A repeated
        request id returns the same template again, as long as that template exists.

        A face looks like another subject if the gallery would identify it as that subject: the other subject's
        similarity reaches the threshold and is higher than that of its own subject. A subject that was told apart from
        its own does not count.

        A face looks unlike its own subject if its similarity to each of at least :data:`_TEMPLATES_TO_REFUSE` templates
        is below the minimum. Templates that it looks unlike never refuse it alone, or if others resemble it: people
        age. The answer lists them, because one of them, or the face, may show another person.

        Args:
            gallery_id: the gallery.
            subject_id: the subject; empty to create one with a new UUIDv7.
            enrollment: the face. An existing subject keeps its name.
            validate_only: check everything and return the same answer, but store nothing. The template id of the
                answer is empty, and so is the etag of a new subject, and its id if none was given.

        Raises:
            GalleryNotFound: the gallery does not exist.
            ContractMismatch: the gallery has another contract than the embedding or the server.
            InvalidEmbedding: the embedding has another dimension, is not finite, or has a length of zero.
            RequestIdReused: the request id was used for another request.
            TooManyTemplates: the subject has the most templates allowed.
            ConsentRequired: the gallery requires a consent, and neither the enrolment nor the subject has one.
            LooksLikeAnotherSubject: see above; not raised if ``accept_lookalike`` is set.
            LooksUnlikeSubject: see above; not raised if ``accept_unlike`` is set.
        """
        gallery = self._registry.find(gallery_id)
        lookalikes = None if enrollment.accept_lookalike else self._searched_ahead(gallery, subject_id, enrollment)
        with gallery.change_lock:
            with self._registry.storing(gallery) as hold:
                embeddings = self._embeddings(gallery, enrollment)
                contract, embedding = next(iter(embeddings.items()))
                index = gallery.index_for(contract)
                if not enrollment.accept_lookalike and (lookalikes is None or lookalikes.contract != contract):
                    lookalikes = LookalikeSearch(gallery, contract, subject_id, embedding)
                checked = self._check(gallery, lookalikes, subject_id, enrollment)
                unlike = self._unlike_templates(index, checked, enrollment, embedding)
                if validate_only:
                    return replace(checked, template=replace(checked.template, template_id=""), unlike=unlike)
                stored = self._store_template(gallery, checked, enrollment, embeddings)
            if not stored.already_enrolled:
                self._show(gallery, stored, embeddings, is_new=not checked.subject.etag)
            elif enrollment.consent is not None:  # with which it may expire later
                with gallery.expiry_lock:
                    self._registry.note_expiry(gallery, stored.subject)
            # Not before the indexes have it. If that fails, what was stored is read from the store.
            self._registry.note_reached(gallery, hold)
            return replace(stored, unlike=unlike)

    def _searched_ahead(self, gallery: OpenGallery, subject_id: str, enrollment: Enrollment) -> LookalikeSearch | None:
        """Search for look-alikes before the gallery is held; ``None`` if it is not known yet by which embedding."""
        try:
            contract, embedding = next(iter(self._embeddings(gallery, enrollment).items()))
            lookalikes = LookalikeSearch(gallery, contract, subject_id, embedding)
            lookalikes.search_ahead()
        except ContractMismatch:
            return None  # unless the gallery has just changed, this is found out again
        return lookalikes

    def _embeddings(self, gallery: OpenGallery, enrollment: Enrollment) -> dict[str, NDArray[np.float32]]:
        """Return the embedding under the contract that searches, and then that under the other one of a migration.

        Raises:
            ContractMismatch: the enrolment has not those that it needs: the gallery's contracts have changed.
        """
        given = {enrollment.contract: enrollment.embedding} | dict(enrollment.further)
        known = self._registry.dimensions
        if known.keys().isdisjoint(gallery.settings.contracts):
            raise gallery.mismatch(gallery.settings.contract)
        found = {}
        for contract in gallery.settings.contracts:
            if contract in given and contract in known:
                found[contract] = normalized(given[contract][None], dimension=known[contract])[0]
            elif contract in known:
                raise self._registry.mismatches.incomplete_enrollment(
                    gallery.gallery_id, gallery.settings.migration, missing=contract, found=enrollment.contract
                )
        return found

    def _check(
        self,
        gallery: OpenGallery,
        lookalikes: LookalikeSearch | None,
        subject_id: str,
        enrollment: Enrollment,
    ) -> Enrolled:
        """Return the answer of the enrolment; a new template has no id yet, nor has a new subject without one."""
        gallery_id = gallery.gallery_id
        state = self._store.enrollment_state(
            gallery_id, subject_id, picture_sha256=enrollment.picture_sha256, request_id=enrollment.request_id
        )
        if state.answered is not None:
            return self._answered_before(gallery_id, *state.answered, enrollment)
        subject = None if state.subject is None else _with_consent(state.subject, enrollment.consent)
        consent = enrollment.consent if subject is None else subject.consent
        if gallery.settings.policy.require_consent and consent is None:
            raise ConsentRequired(gallery_id, subject_id)
        if subject is not None:
            for template in state.templates_of_picture:
                if overlap(template.box, enrollment.box) >= SAME_FACE_IOU:
                    return Enrolled(subject, template, already_enrolled=True)
            if subject.template_count >= self._max_templates:
                raise TooManyTemplates(gallery_id, subject_id, self._max_templates)
        if lookalikes is not None:
            lookalikes.refuse()
        moment = self._registry.clock()
        expire_time = enrollment.expire_time
        if subject is None:
            subject = Subject(
                gallery_id,
                subject_id,
                enrollment.display_name,
                0,
                moment,
                moment,
                "",
                consent=consent,
                expire_time=expire_time,
            )
        if expire_time is not None and subject.expire_time is not None and subject.expire_time <= expire_time:
            expire_time = None  # it expires with its subject
        template = Template(
            template_id="",
            gallery_id=gallery_id,
            subject_id=subject_id,
            picture_sha256=enrollment.picture_sha256,
            box=enrollment.box,
            quality=enrollment.quality,
            create_time=moment,
            face_model=enrollment.face_model,
            embedding_model=enrollment.embedding_model,
            has_crop=enrollment.crop is not None,
            expire_time=expire_time,
        )
        counted = replace(subject, template_count=subject.template_count + 1)
        return Enrolled(counted, template, already_enrolled=False)

    def _unlike_templates(
        self, index: Index, checked: Enrolled, enrollment: Enrollment, embedding: NDArray[np.float32]
    ) -> dict[str, float]:
        """Return the other templates of the subject that the face looks unlike, the least similar first.

        Raises:
            LooksUnlikeSubject: a new template looks unlike all of them, and they are enough to refuse it.
        """
        subject, template = checked.subject, checked.template
        if subject.template_count == 1:
            return {}  # its own
        similarities = index.template_similarities(subject.subject_id, embedding)
        similarities.pop(template.template_id, None)
        unlike = {each: value for each, value in similarities.items() if value < self._min_similarity}
        is_refused = not (checked.already_enrolled or enrollment.accept_unlike)
        if is_refused and len(unlike) == len(similarities) >= _TEMPLATES_TO_REFUSE:
            raise LooksUnlikeSubject(subject.gallery_id, subject.subject_id, similarities, self._min_similarity)
        return dict(sorted(unlike.items(), key=lambda each: each[1]))

    def _store_template(
        self,
        gallery: OpenGallery,
        checked: Enrolled,
        enrollment: Enrollment,
        embeddings: Mapping[str, NDArray[np.float32]],
    ) -> Enrolled:
        """Store what :meth:`_check` returned; the answer has its ids."""
        request = EnrollmentRequest(enrollment.request_id, enrollment.request_digest) if enrollment.request_id else None
        checked = replace(checked, subject=self._record_consent(gallery, checked.subject))
        if checked.already_enrolled:
            if request and not self._store.template_of_request(gallery.gallery_id, request.request_id):
                self._store.add_request(checked.template, request)
            return checked
        subject = checked.subject
        is_new = not subject.etag
        if is_new:
            subject_id = subject.subject_id or new_id()
            subject = replace(subject, subject_id=subject_id, etag=new_etag())
        template = replace(checked.template, template_id=new_id(), subject_id=subject.subject_id)
        # A lack of memory must show before the store commits.
        for contract in embeddings:
            gallery.indexes[contract].reserve()
        (contract, embedding), *others = embeddings.items()
        self._store.add_template(
            template,
            embedding,
            new_subject=subject if is_new else None,
            request=request,
            crop=enrollment.crop,
            contract=contract,
            other=others[0][1] if others else None,
        )
        return Enrolled(subject, template, already_enrolled=False)

    def _show(
        self, gallery: OpenGallery, stored: Enrolled, embeddings: Mapping[str, NDArray[np.float32]], *, is_new: bool
    ) -> None:
        """Make a template visible to searches."""
        subject, template = stored.subject, stored.template
        ids = (subject.subject_id,), (subject.display_name,), (template.template_id,)
        added = {contract: EmbeddedTemplates(*ids, embedding[None]) for contract, embedding in embeddings.items()}
        # Whoever is removing what has expired by an older list of it must not remove this.
        with gallery.expiry_lock:
            if is_new:
                # A subject of this id may have expired a moment ago.
                gallery.forget_subject(subject.subject_id)
            for contract, templates in added.items():
                gallery.indexes[contract].add(templates)
            self._registry.note_expiry(gallery, subject, template)
        gallery.changes += 1
        gallery.recent.note((subject.subject_id,), added)

    def _record_consent(self, gallery: OpenGallery, subject: Subject) -> Subject:
        """Store the consent of a subject that is stored with another one."""
        if not subject.etag or subject.consent is None:
            return subject
        if self._store.subject(gallery.gallery_id, subject.subject_id).consent == subject.consent:
            return subject
        change = SubjectChange(frozenset({"consent"}), consent=subject.consent)
        stored = self._store.update_subject(
            gallery.gallery_id, subject.subject_id, change, etag="", new_etag=new_etag(), time=self._registry.clock()
        )
        return replace(stored, template_count=subject.template_count)

    def _answered_before(self, gallery_id: str, template: Template, digest: str, enrollment: Enrollment) -> Enrolled:
        if digest != enrollment.request_digest:
            raise RequestIdReused(gallery_id, enrollment.request_id)
        subject = self._store.subject(gallery_id, template.subject_id)
        return Enrolled(subject, template, already_enrolled=True)


def _with_consent(subject: Subject, consent: Consent | None) -> Subject:
    """Return a stored subject with the consent of an enrolment, if that is another one and later."""
    known = subject.consent
    if consent is None:
        return subject
    if known is not None and ((known.basis, known.reference) == (consent.basis, consent.reference)):
        return subject
    return replace(subject, consent=consent) if known is None or known.time < consent.time else subject


def overlap(one: Box, other: Box) -> float:
    """Return the IoU of two boxes, [0, 1]; of equal boxes it is 1, also without an area."""
    if one == other:
        return 1.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (_area(one) + _area(other) - shared) if shared > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
