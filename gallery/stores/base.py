"""What a store of galleries must do. It is the system of record; what is searched is built from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gallery.index.base import Index
from gallery.records.calibrations import Calibration
from gallery.records.records import EmbeddedTemplates, Gallery, StoredFace, Subject, Template


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is to be answered alike when it comes again.

    Attributes:
        request_id: the caller's id, unique in a gallery.
        digest: a fingerprint of what was asked.
    """

    request_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a face before it is enrolled.

    Attributes:
        subject: the subject; ``None`` where there is none.
        templates_of_picture: those of its templates that were taken from the picture.
        answered: the template that the request was answered with, and the request's digest.
    """

    subject: Subject | None
    templates_of_picture: Sequence[Template]
    answered: tuple[Template, str] | None


class Import(Protocol):
    """A gallery that is being filled, and that nobody sees before :meth:`commit`.

    What was added is on disk when :meth:`commit` returns. One that is neither committed nor aborted, because its
    process died, leaves nothing that anybody sees, and its remains are removed in time.
    """

    def add(self, faces: Sequence[StoredFace]) -> None:
        """Add templates, and their subjects where these are new; ids must not have been added before."""

    def commit(self) -> Gallery:
        """Make it a gallery; :class:`gallery.errors.GalleryExists` where its id was taken meanwhile."""

    def abort(self) -> None:
        """Remove what was added."""


class Store(Protocol):
    """Galleries, subjects, templates, and the requests that made them.

    Every method does all of what it says or nothing, and what it wrote is on disk when it returns. Safe to
    use from several threads. Lists come in code point order of their ids, after ``after``, at most ``limit``
    long. An empty etag is not compared. Every method may raise :class:`gallery.errors.StorageError`, and
    :class:`gallery.errors.GalleryNotFound` or :class:`gallery.errors.SubjectNotFound` for what it is told to
    look in.
    """

    def create_gallery(self, gallery: Gallery) -> None:
        """Add an empty gallery; :class:`gallery.errors.GalleryExists` where the id is taken."""

    def gallery(self, gallery_id: str) -> Gallery:
        """Answer a gallery."""

    def galleries(self, *, after: str, limit: int) -> Sequence[Gallery]:
        """List galleries."""

    def update_gallery(
        self,
        gallery_id: str,
        *,
        display_name: str | None,
        threshold: float | None,
        mean_of_best: int | None,
        calibration: Calibration | None = None,
        etag: str,
        new_etag: str,
        at: datetime,
    ) -> Gallery:
        """Change what is not ``None``; :class:`gallery.errors.EtagMismatch` where another did before."""

    def delete_gallery(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """Delete a gallery and all in it.

        Raises:
            EtagMismatch: somebody changed it before.
            GalleryNotEmpty: it holds subjects and ``force`` is not set.
        """

    def subject(self, gallery_id: str, subject_id: str) -> Subject:
        """Answer a subject."""

    def subjects(self, gallery_id: str, *, after: str, limit: int) -> Sequence[Subject]:
        """List the subjects of a gallery."""

    def rename_subject(
        self, gallery_id: str, subject_id: str, *, display_name: str, etag: str, new_etag: str, at: datetime
    ) -> Subject:
        """Change a subject's name; :class:`gallery.errors.EtagMismatch` where another did before."""

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str) -> int:
        """Delete a subject and its templates, and say how many; :class:`gallery.errors.EtagMismatch`."""

    def templates(self, gallery_id: str, subject_id: str, *, after: str, limit: int) -> Sequence[Template]:
        """List the templates of a subject."""

    def templates_of_picture(self, gallery_id: str, subject_id: str, picture_sha256: str) -> Sequence[Template]:
        """List those templates of a subject that were taken from a picture."""

    def known(self, gallery_id: str, subject_id: str, *, picture_sha256: str, request_id: str) -> Known:
        """Answer what an enrolment has to know; an empty ``request_id`` was never answered."""

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """Answer the template that a request was answered with, and the request's digest."""

    def add_template(
        self,
        template: Template,
        embedding: NDArray[np.float32],
        *,
        new_subject: Subject | None,
        request: Request | None,
        crop: bytes | None,
    ) -> None:
        """Add a template, with its subject where that is new, the request that it answers, and its crop."""

    def add_request(self, template: Template, request: Request) -> None:
        """Remember that a request was answered with a template that was there before."""

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """Delete a template and its requests; :class:`gallery.errors.TemplateNotFound` without one."""

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int) -> EmbeddedTemplates:
        """List all templates of a gallery, in an order of the store's own, after the template ``after``.

        Raises:
            StorageUnavailable: ``after`` is gone, so that nobody knows what follows it.
        """

    def faces(self, gallery_id: str, *, after: tuple[str, str], limit: int) -> Sequence[StoredFace]:
        """List all subjects of a gallery with all their templates, by subject id, then template id.

        ``after`` is a subject id and a template id; a subject without templates comes once, with an empty one.
        """

    def begin_import(self, gallery: Gallery) -> Import:
        """Begin to fill a new gallery; :class:`gallery.errors.GalleryExists` where the id is taken."""

    def index(self, gallery: Gallery, *, dimension: int) -> Index | None:
        """The store's own index of a gallery, where it has one.

        A store that several processes write to has: it sees what each of them wrote. Where a store has none, its
        one process keeps an index in memory.
        """

    def scrub(self) -> None:
        """Leave no trace of what was deleted or renamed in any file; quick where there is nothing to do."""

    def close(self) -> None:
        """Let go of the database. What is called later raises :class:`gallery.errors.StorageUnavailable`."""
