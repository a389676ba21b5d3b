"""The methods of GalleryService for the subjects of a gallery and their templates."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from contextlib import aclosing
from datetime import datetime

from facet.client import batches
from facet.client.aio.calls import download, exchange, pages, read
from facet.client.aio.server import ServerMethods
from facet.client.batches import Enrollment, EnrollmentAnswer, K
from facet.client.pictures import PictureSource
from facet.client.requests import enroll_request
from facet.client.terms import timestamp
from facet.v1 import gallery_service_pb2 as pb
from facet.v1.types_pb2 import SEARCH_UNSPECIFIED, FaceChoice, Search


class SubjectMethods(ServerMethods):
    """Enrol, list, correct and forget people."""

    async def enroll(
        self,
        gallery_id: str,
        subject_id: str,
        picture: PictureSource,
        *,
        display_name: str = "",
        face: FaceChoice | None = None,
        request_id: str = "",
        accept_low_quality: bool = False,
        accept_lookalike: bool = False,
        accept_unlike: bool = False,
        validate_only: bool = False,
        search: Search.ValueType = SEARCH_UNSPECIFIED,
        consent: pb.Consent | None = None,
        expire_time: datetime | None = None,
        timeout: float | None = None,
    ) -> pb.EnrollFaceResponse:
        """Enrol the face in a picture. The same picture of the same subject is enrolled once.

        Args:
            gallery_id: the gallery.
            subject_id: the subject, who is created if new; empty to let the server choose an id.
            picture: the picture, see :func:`facet.picture`.
            display_name: a name for people, used if the subject is new.
            face: which face of the picture is meant; ``None`` if it shows one.
            request_id: the caller's id of this request; the same id again does not enrol twice.
            accept_low_quality: also enrol a face that is too small, dark, noisy, overexposed, blurred, covered, turned
                away, or a negative.
            accept_lookalike: also enrol a face that looks like another subject's.
            accept_unlike: also enrol a face that looks unlike all of its subject's templates.
            validate_only: check everything, but keep nothing.
            search: :data:`facet.THOROUGH` also finds faces that are small in a large picture, and takes longer.
            consent: the person's consent, see :func:`facet.consent`. It replaces that of an existing subject if it is
                later.
            expire_time: when the face is to be erased, with a time zone. A new subject expires with it; of an existing
                one only the template does.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the face was refused; the error's ``reason`` says why.
            InvalidArgument: the server cannot read the picture.
            NotFound: there is no gallery of this id.
        """
        request = enroll_request(
            gallery_id,
            subject_id,
            await read(picture),
            display_name=display_name,
            face=face,
            request_id=request_id,
            accept_low_quality=accept_low_quality,
            accept_lookalike=accept_lookalike,
            accept_unlike=accept_unlike,
            validate_only=validate_only,
            search=search,
            consent=consent,
            expire_time=expire_time,
        )
        return await self.galleries.EnrollFace(request, timeout=timeout)

    async def enroll_batch(
        self,
        gallery_id: str,
        items: Iterable[tuple[K, Enrollment]],
        *,
        accept_low_quality: bool = False,
        accept_lookalike: bool = False,
        accept_unlike: bool = False,
        validate_only: bool = False,
        search: Search.ValueType = SEARCH_UNSPECIFIED,
        consent: pb.Consent | None = None,
        expire_time: datetime | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[tuple[K, EnrollmentAnswer], None]:
        """Enrol many faces. Answers come as they are ready, in any order.

        Args:
            gallery_id: the gallery.
            items: a key of the caller's for each face, and the enrolment. Pictures are read on a thread, a few at a
                time, as the server has room and the answers are consumed.
            accept_low_quality: also enrol faces that are too small, dark, noisy, overexposed, blurred, covered, turned
                away, or a negative.
            accept_lookalike: also enrol faces that look like another subject's.
            accept_unlike: also enrol faces that look unlike all of their subject's templates.
            validate_only: check everything, but keep nothing.
            search: :data:`facet.THOROUGH` also finds faces that are small in a large picture, and takes longer.
            consent: the consent of everybody whose enrolment has none, see :meth:`enroll`.
            expire_time: when faces are to be erased whose enrolment does not say, see :meth:`enroll`.
            timeout: seconds the whole batch may take; ``None`` for no limit.

        Yields:
            The key of a face, and its answer or error. The reason of a file that could not be sent is CANNOT_READ or
            FILE_TOO_LARGE.

        Raises:
            FacetError: the batch ended early. Faces that were answered are enrolled.
        """
        common = pb.EnrollFaceRequest(
            gallery_id=gallery_id,
            accept_low_quality=accept_low_quality,
            accept_lookalike=accept_lookalike,
            accept_unlike=accept_unlike,
            validate_only=validate_only,
            search=search,
            consent=consent,
            expire_time=timestamp(expire_time),
        )
        limits = (await self.get_server_info()).limits
        batch = batches.enroll_batch(items, common, limits.max_message_bytes)
        async with aclosing(exchange(self.galleries.EnrollBatch, batch, timeout)) as responses:
            async for response in responses:
                yield batch.take(response.item_id, response.status, response.enrollment)
        batch.finish()

    async def get_subject(self, gallery_id: str, subject_id: str, *, timeout: float | None = None) -> pb.Subject:
        """Return a subject.

        Args:
            gallery_id: the gallery.
            subject_id: the subject.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            NotFound: there is no such gallery or subject.
        """
        request = pb.GetSubjectRequest(gallery_id=gallery_id, subject_id=subject_id)
        return (await self.galleries.GetSubject(request, timeout=timeout)).subject

    async def list_subjects(
        self, gallery_id: str, *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> pb.ListSubjectsResponse:
        """Return a page of a gallery's subjects, by id; :meth:`iter_subjects` returns them all.

        Args:
            gallery_id: the gallery.
            page_size: the most subjects to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.ListSubjectsRequest(gallery_id=gallery_id, page_size=page_size, page_token=page_token)
        return await self.galleries.ListSubjects(request, timeout=timeout)

    async def iter_subjects(
        self, gallery_id: str, *, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[pb.Subject]:
        """Iterate over all subjects of a gallery, by id. Pages are asked for as they are needed.

        Args:
            gallery_id: the gallery.
            page_size: subjects a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        async for page in pages(
            lambda token: self.list_subjects(gallery_id, page_size=page_size, page_token=token, timeout=timeout)
        ):
            for subject in page.subjects:
                yield subject

    subjects = iter_subjects

    async def update_subject(
        self,
        gallery_id: str,
        subject_id: str,
        *,
        display_name: str | None = None,
        consent: pb.Consent | None = None,
        expire_time: datetime | None = None,
        clear: Collection[str] = (),
        etag: str = "",
        timeout: float | None = None,
    ) -> pb.Subject:
        """Change a subject, and return it as it is now. An argument that is ``None`` changes nothing.

        Args:
            gallery_id: the gallery.
            subject_id: the subject. The id cannot change.
            display_name: the new name for people.
            consent: the new consent, see :func:`facet.consent`.
            expire_time: when the subject is to be erased, with a time zone.
            clear: ``"consent"``, ``"expire_time"`` or both, to remove them.
            etag: change it only if its etag is still this one; empty to change it anyway.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            Aborted: somebody else changed the subject.
            FailedPrecondition: the gallery requires the consent that was to be removed.
            InvalidArgument: every change is ``None``, or a time is not possible.
            NotFound: there is no such gallery or subject.
        """
        subject = pb.Subject(
            gallery_id=gallery_id,
            subject_id=subject_id,
            display_name=display_name or "",
            consent=consent,
            expire_time=timestamp(expire_time),
            etag=etag,
        )
        changes = {"display_name": display_name, "consent": consent, "expire_time": expire_time}
        request = pb.UpdateSubjectRequest(subject=subject)
        request.update_mask.paths.extend(name for name, value in changes.items() if value is not None or name in clear)
        return (await self.galleries.UpdateSubject(request, timeout=timeout)).subject

    async def delete_subject(
        self, gallery_id: str, subject_id: str, *, etag: str = "", timeout: float | None = None
    ) -> pb.DeleteSubjectResponse:
        """Forget a subject: its name and all its templates.

        Args:
            gallery_id: the gallery.
            subject_id: the subject.
            etag: forget it only if its etag is still this one; empty to forget it anyway.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            Aborted: somebody else changed the subject.
            NotFound: there is no such gallery or subject.
        """
        request = pb.DeleteSubjectRequest(gallery_id=gallery_id, subject_id=subject_id, etag=etag)
        return await self.galleries.DeleteSubject(request, timeout=timeout)

    async def export_subject(
        self, gallery_id: str, subject_id: str, *, timeout: float | None = None
    ) -> AsyncGenerator[pb.ExportSubjectResponse, None]:
        """Return everything that the server stores about a person: first the subject, then each template.

        Args:
            gallery_id: the gallery.
            subject_id: the subject.
            timeout: seconds the whole call may take; ``None`` for no limit.

        Raises:
            NotFound: there is no such gallery or subject.
        """
        request = pb.ExportSubjectRequest(gallery_id=gallery_id, subject_id=subject_id)
        async with aclosing(download(self.galleries.ExportSubject, request, timeout)) as responses:
            async for response in responses:
                yield response

    async def list_templates(
        self,
        gallery_id: str,
        subject_id: str,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> pb.ListTemplatesResponse:
        """Return a page of a subject's templates, the oldest first; :meth:`iter_templates` returns them all.

        Args:
            gallery_id: the gallery.
            subject_id: the subject.
            page_size: the most templates to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.ListTemplatesRequest(
            gallery_id=gallery_id, subject_id=subject_id, page_size=page_size, page_token=page_token
        )
        return await self.galleries.ListTemplates(request, timeout=timeout)

    async def iter_templates(
        self, gallery_id: str, subject_id: str, *, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[pb.Template]:
        """Iterate over all templates of a subject, the oldest first. Pages are asked for as they are needed.

        Args:
            gallery_id: the gallery.
            subject_id: the subject.
            page_size: templates a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        async for page in pages(
            lambda token: self.list_templates(
                gallery_id, subject_id, page_size=page_size, page_token=token, timeout=timeout
            )
        ):
            for template in page.templates:
                yield template

    async def delete_template(
        self, gallery_id: str, subject_id: str, template_id: str, *, timeout: float | None = None
    ) -> None:
        """Delete one template. The subject stays, even without any.

        Args:
            gallery_id: the gallery.
            subject_id: the subject.
            template_id: the template.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            NotFound: there is no such gallery, subject or template.
        """
        request = pb.DeleteTemplateRequest(gallery_id=gallery_id, subject_id=subject_id, template_id=template_id)
        await self.galleries.DeleteTemplate(request, timeout=timeout)
