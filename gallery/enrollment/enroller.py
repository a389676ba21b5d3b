"""How a face becomes a template: what already exists, what is refused, what is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gallery.embeddings import normalized
from gallery.enrollment.face_checks import SAME_FACE_IOU, overlap, unlike_templates, with_consent
from gallery.enrollment.lookalikes import LookalikeSearch
from gallery.enrollment.waiting_face import WaitingFace
from gallery.errors import (
    ConsentRequired,
    ContractMismatch,
    RequestIdReused,
    StorageError,
    TooManyTemplates,
)
from gallery.etags import new_etag
from gallery.opened.open_gallery import OpenGallery
from gallery.opened.registry import GalleryRegistry
from gallery.records.enrollments import Enrolled, Enrollment
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import EmbeddedTemplates, Template
from gallery.stores.base import AddedTemplate, EnrollmentRequest, EnrollmentState, Store
from gallery.times import new_id


class Enroller:
    """Enrols faces.

    Faces that come while others are enrolled wait for the gallery. The next thread that gets it enrols all of them: the
    store then makes several durable at once.

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
        :data:`.face_checks.SAME_FACE_IOU`, that template is returned. Another face of the picture is another template.
        A repeated request id returns the same template again, as long as that template exists.

        A face looks like another subject if the gallery would identify it as that subject: the other subject's
        similarity reaches the threshold and is higher than that of its own subject. A subject that was told apart from
        its own does not count.

        A face looks unlike its own subject if its similarity to each of at least two templates is below the minimum.
        Templates that it looks unlike never refuse it alone, or if others resemble it: people age. The answer lists
        them, because one of them, or the face, may show another person.

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
        face = WaitingFace(subject_id, enrollment, validate_only)
        self._search_ahead(gallery, face)
        enrolled: Enrolled = gallery.enrollments.do(face, partial(self._enroll_all, gallery))
        return enrolled

    def _search_ahead(self, gallery: OpenGallery, face: WaitingFace) -> None:
        """Search for look-alikes before the gallery is held."""
        try:
            self._prepare(gallery, face)
            if face.lookalikes is not None:
                face.lookalikes.search_ahead()
        except ContractMismatch:
            return  # unless the gallery has just changed, this is found out again

    def _prepare(self, gallery: OpenGallery, face: WaitingFace) -> None:
        """Find out by which embeddings a face is searched for, and enrolled."""
        face.embeddings = self._embeddings(gallery, face.enrollment)
        is_known = face.lookalikes is not None and face.lookalikes.contract == face.contract
        if not (is_known or face.enrollment.accept_lookalike):
            face.lookalikes = LookalikeSearch(gallery, face.contract, face.subject_id, face.embedding)

    def _enroll_all(
        self, gallery: OpenGallery, take: Callable[[], Sequence[WaitingFace]]
    ) -> list[Enrolled | Exception]:
        """Enrol the faces that wait for a gallery; the caller holds its ``change_lock``."""
        faces: list[WaitingFace] = []
        self._enroll_some(gallery, faces, take)
        while left := [face for face in faces if face.answer is None]:
            self._enroll_some(gallery, left, take)
        try:
            return [face.answer for face in faces if face.answer is not None]
        finally:
            # An error's traceback leads to its face, and to these variables: such a circle would keep embeddings in
            # memory.
            for face in faces:
                face.answer = None

    def _enroll_some(
        self, gallery: OpenGallery, faces: list[WaitingFace], take: Callable[[], Sequence[WaitingFace]]
    ) -> None:
        """Enrol faces in one transaction; those that depend on others of them get no answer yet.

        No faces stand for those that wait once the store holds the gallery, because more of them have come by then.
        They are added to ``faces``.
        """
        stored: list[tuple[WaitingFace, Enrolled, bool]] | None = None
        try:
            with self._registry.storing(gallery) as hold:
                if not faces:
                    faces += take()
                stored = self._store_some(gallery, faces)
        except Exception as error:
            if not faces:
                raise
            left = [face for face in faces if face.answer is None]
            if len(left) == 1 or stored is not None or isinstance(error, StorageError):
                for face in left:
                    face.answer = error
            else:  # nothing is stored, perhaps because of one of them
                for face in left:
                    self._enroll_some(gallery, [face], take)
            return
        is_shown = True
        for face, enrolled, is_new in stored:
            try:
                if not enrolled.already_enrolled:
                    self._show(gallery, enrolled, face.embeddings, is_new=is_new)
                elif face.enrollment.consent is not None:  # with which it may expire later
                    with gallery.expiry_lock:
                        self._registry.note_expiry(gallery, enrolled.subject)
                face.answer = replace(enrolled, unlike=face.unlike)
            except Exception as error:
                face.answer, is_shown = error, False
        # Not before the indexes have it. If that fails, what was stored is read from the store.
        if is_shown:
            self._registry.note_reached(gallery, hold)
        else:
            self._registry.read_unshown(gallery)

    def _store_some(
        self, gallery: OpenGallery, faces: Sequence[WaitingFace]
    ) -> list[tuple[WaitingFace, Enrolled, bool]]:
        """Check and store faces that do not depend on each other; others get no answer.

        Returns:
            the faces that are stored now, or were before, with their answers, and whether the subject is new. Those
            that are refused, or only validated, have their answer already.
        """
        found = []
        for face, enrolled in self._checked(gallery, faces):
            with face.refused_here():
                face.unlike = unlike_templates(
                    gallery.index_for(face.contract),
                    enrolled,
                    face.embedding,
                    min_similarity=self._min_similarity,
                    accept_unlike=face.enrollment.accept_unlike,
                )
                if face.validate_only:
                    nameless = replace(enrolled.template, template_id="")
                    face.answer = replace(enrolled, template=nameless, unlike=face.unlike)
                else:
                    found.append((face, enrolled))
        stored = [(face, self._named(gallery, face, enrolled), not enrolled.subject.etag) for face, enrolled in found]
        added = [
            _added(face, enrolled, is_new=is_new) for face, enrolled, is_new in stored if not enrolled.already_enrolled
        ]
        if added:
            # A lack of memory must show before the store commits.
            for contract in found[0][0].embeddings:
                gallery.indexes[contract].reserve(len(added))
            self._store.add_templates(gallery.gallery_id, added, contract=found[0][0].contract)
        return stored

    def _checked(self, gallery: OpenGallery, faces: Sequence[WaitingFace]) -> list[tuple[WaitingFace, Enrolled]]:
        """Return the faces that are not refused, with their answers.

        A new template has no id yet, nor has a new subject without one.
        """
        ready = []
        for face in faces:
            with face.refused_here():
                self._prepare(gallery, face)
                ready.append(face)
        states = self._store.enrollment_states(gallery.gallery_id, [face.question for face in ready])
        together: list[tuple[WaitingFace, EnrollmentState]] = []
        for face, state in zip(ready, states, strict=True):
            if not any(face.depends_on(other, is_new=its.subject is None) for other, its in together):
                together.append((face, state))
        known, new = [], []
        for face, state in together:
            with face.refused_here():
                enrolled = self._known(gallery, face, state)
                if enrolled is None:
                    new.append((face, state))
                else:
                    known.append((face, enrolled))
        searches = [face.lookalikes for face, _ in new if face.lookalikes is not None]
        LookalikeSearch.search_together([each for each in searches if each.is_outdated()])
        accepted = []
        for face, state in new:
            with face.refused_here():
                if face.lookalikes is not None:
                    face.lookalikes.refuse()
                accepted.append((face, self._new(gallery, face, state)))
        return known + accepted

    def _known(self, gallery: OpenGallery, face: WaitingFace, state: EnrollmentState) -> Enrolled | None:
        """Return the answer if the face, or the request, has a template already; ``None`` if it needs a new one."""
        gallery_id, enrollment = gallery.gallery_id, face.enrollment
        if state.answered is not None:
            return self._answered_before(gallery_id, *state.answered, enrollment)
        subject = None if state.subject is None else with_consent(state.subject, enrollment.consent)
        consent = enrollment.consent if subject is None else subject.consent
        if gallery.settings.policy.require_consent and consent is None:
            raise ConsentRequired(gallery_id, face.subject_id)
        if subject is None:
            return None
        for template in state.templates_of_picture:
            if overlap(template.box, enrollment.box) >= SAME_FACE_IOU:
                return Enrolled(subject, template, already_enrolled=True)
        if subject.template_count >= self._max_templates:
            raise TooManyTemplates(gallery_id, face.subject_id, self._max_templates)
        return None

    def _new(self, gallery: OpenGallery, face: WaitingFace, state: EnrollmentState) -> Enrolled:
        """Return the answer with a new template."""
        gallery_id, enrollment = gallery.gallery_id, face.enrollment
        moment = self._registry.clock()
        expire_time = enrollment.expire_time
        if state.subject is not None:
            subject = with_consent(state.subject, enrollment.consent)
        else:
            subject = Subject(
                gallery_id,
                face.subject_id,
                enrollment.display_name,
                0,
                moment,
                moment,
                "",
                consent=enrollment.consent,
                expire_time=expire_time,
            )
        if expire_time is not None and subject.expire_time is not None and subject.expire_time <= expire_time:
            expire_time = None  # it expires with its subject
        x1, y1, x2, y2 = enrollment.box
        template = Template(
            template_id="",
            gallery_id=gallery_id,
            subject_id=face.subject_id,
            picture_sha256=enrollment.picture_sha256,
            # Callers may have NumPy's numbers, which databases store as something else or refuse.
            box=(float(x1), float(y1), float(x2), float(y2)),
            quality=float(enrollment.quality),
            create_time=moment,
            face_model=enrollment.face_model,
            embedding_model=enrollment.embedding_model,
            has_crop=enrollment.crop is not None,
            expire_time=expire_time,
        )
        counted = replace(subject, template_count=subject.template_count + 1)
        return Enrolled(counted, template, already_enrolled=False)

    def _named(self, gallery: OpenGallery, face: WaitingFace, checked: Enrolled) -> Enrolled:
        """Store what concerns a subject or a template that exists, and give ids to what does not."""
        request = _request(face.enrollment)
        subject = self._record_consent(gallery, checked.subject)
        if checked.already_enrolled:
            if request and not self._store.template_of_request(gallery.gallery_id, request.request_id):
                self._store.add_request(checked.template, request)
            return replace(checked, subject=subject)
        if not subject.etag:
            subject = replace(subject, subject_id=subject.subject_id or new_id(), etag=new_etag())
        template = replace(checked.template, template_id=new_id(), subject_id=subject.subject_id)
        return Enrolled(subject, template, already_enrolled=False)

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


def _added(face: WaitingFace, enrolled: Enrolled, *, is_new: bool) -> AddedTemplate:
    (_, embedding), *others = face.embeddings.items()
    return AddedTemplate(
        enrolled.template,
        embedding,
        new_subject=enrolled.subject if is_new else None,
        request=_request(face.enrollment),
        crop=face.enrollment.crop,
        other=others[0][1] if others else None,
    )


def _request(enrollment: Enrollment) -> EnrollmentRequest | None:
    return EnrollmentRequest(enrollment.request_id, enrollment.request_digest) if enrollment.request_id else None
