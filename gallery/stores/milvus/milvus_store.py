"""Galleries in a Milvus: the store, and the index, of many servers at the same time."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gallery.errors import EtagMismatch, GalleryExists, GalleryNotEmpty, StorageBusy, SubjectNotFound, TemplateNotFound
from gallery.records.calibrations import Calibration
from gallery.records.records import EmbeddedTemplates, Gallery, StoredFace, Subject, Template
from gallery.stores.base import Known, Request
from gallery.stores.milvus.bulk_import import MilvusImport
from gallery.stores.milvus.connection import Milvus, Row, quoted
from gallery.stores.milvus.faces import FaceReader
from gallery.stores.milvus.index import MilvusIndex
from gallery.stores.milvus.places import Place, Places
from gallery.stores.milvus.removal import Removal, remove_templates
from gallery.stores.milvus.rows import (
    GALLERY_FIELDS,
    SUBJECT_FIELDS,
    TEMPLATE_FIELDS,
    crop_row,
    gallery_of,
    gallery_row,
    microseconds,
    new_gallery_key,
    request_row,
    row_id,
    subject_of,
    subject_row,
    template_of,
    template_row,
)
from gallery.stores.milvus.schema import Collections, IndexType

REMAINS = timedelta(minutes=1)
"""Templates without a subject that are older than this are remains of an enrolment that died, or of one that met a
deletion; younger ones may be half of an enrolment at another replica."""

_CLAIM = timedelta(minutes=1)
"""How long an id is kept free for who said that he wants it, and may have died since."""
_ATTEMPTS = 8
_STEP_BACK_SECONDS = 1.0
_THREADS = 16


class MilvusStore:
    """A store that any number of processes share; see :class:`gallery.stores.base.Store` for what it promises.

    Milvus has no transactions. What is promised here all the same, and what is not:

    - What a method wrote is in Milvus's log when it returns: it outlives this process and Milvus's own.
    - A template is there for everybody once its subject's row is, which is written last. What dies before leaves a
      template that no search and no list shows, and that is removed when the subject is enrolled again, or with its
      gallery. Should that happen within :data:`REMAINS`, it is taken for a concurrent enrolment's and stays. A
      gallery is there, and gone, with one row.
    - What this process wrote every later call of this process sees. What another wrote it sees a fraction of a
      second later (docs/scale.md has figures); before it changes anything, and in :meth:`known`, it waits for
      everything that was written before the call.
    - Of several that create one gallery at the same moment at most one succeeds. Of two that change one name within
      a time tick of Milvus (200 ms), which both had seen the same etag, both succeed, and the later change stands.
      Two that enrol a new subject both succeed, and the subject has both templates. Two that enrol one face, or
      answer one request, within a time tick leave two templates of it.
    - A call that got no answer may have happened.
    - Deleted is invisible at once. What is left of it in Milvus's files, and for how long: docs/scale.md.

    Args:
        uri: such as ``http://localhost:19530``; a file that ends in ``.db`` is opened by Milvus Lite, for one process.
        token: ``user:password``, or an API key; empty for none.
        prefix: what the names of the collections begin with; letters, digits and underscores.
        index: of the templates of an embedding contract that is new to this Milvus; a flat one is exact.
        strong: searches, too, see everything that anybody wrote before, and wait for it.
        timeout: how long a call of Milvus may take, seconds.

    Raises:
        SchemaTooNew: a newer version made the collections.
        StorageUnavailable: pymilvus is missing, or Milvus does not answer, or has others of these names.
    """

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        prefix: str = "facet",
        index: IndexType = "FLAT",
        strong: bool = False,
        timeout: float = 10.0,
    ) -> None:
        self._milvus = Milvus(uri, token=token, timeout=timeout)
        try:
            self._collections = Collections(self._milvus, prefix=prefix, index=index)
            self._removal = Removal(self._milvus, self._collections)
            self._removal.run()
        except BaseException:
            self._milvus.close()
            raise
        self._places = Places(self._milvus, self._collections)
        self._faces = FaceReader(self._milvus, self._collections)
        self._strong = strong
        self._threads = ThreadPoolExecutor(_THREADS, "milvus")

    def create_gallery(self, gallery: Gallery) -> None:
        """See :meth:`gallery.stores.base.Store.create_gallery`.

        Raises:
            StorageBusy: others create a gallery of this id again and again.
        """
        self._need_free_id(gallery.gallery_id)
        key = new_gallery_key()
        try:
            self._publish(gallery, key)
        except GalleryExists:
            self._removal.forget(key)
            raise

    def gallery(self, gallery_id: str) -> Gallery:
        """See :meth:`gallery.stores.base.Store.gallery`."""
        return self._counted(self._places.find(gallery_id))

    def galleries(self, *, after: str, limit: int) -> list[Gallery]:
        """See :meth:`gallery.stores.base.Store.galleries`."""
        where = f"id > {quoted(after)}"
        rows = self._milvus.first(self._collections.galleries, where, GALLERY_FIELDS, limit=limit)
        return [self._counted(self._places.of(row)) for row in rows]

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
        """See :meth:`gallery.stores.base.Store.update_gallery`."""
        place = self._places.find(gallery_id, strong=True)
        before = gallery_of(place.row, subjects=0, templates=0)
        _check_etag(gallery_id, "", expected=before.etag, found=etag)
        after = replace(
            before,
            display_name=before.display_name if display_name is None else display_name,
            threshold=before.threshold if threshold is None else threshold,
            mean_of_best=before.mean_of_best if mean_of_best is None else mean_of_best,
            calibration=calibration or before.calibration,
            etag=new_etag,
            update_time=at,
        )
        self._milvus.put(self._collections.galleries, [gallery_row(after, place.key)])
        return self._counted(self._places.find(gallery_id))

    def delete_gallery(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_gallery`. What was in it is removed by :meth:`scrub`."""
        place = self._places.find(gallery_id, strong=True)
        _check_etag(gallery_id, "", expected=place.row["etag"], found=etag)
        subjects = self._places.subjects(place, strong=True)
        if subjects and not force:
            raise GalleryNotEmpty(gallery_id, subjects)
        self._removal.note(place.key, place.row["contract"])
        self._milvus.delete(self._collections.galleries, [gallery_id])
        self._removal.discard(place.key, place.row["contract"])
        self._places.changed(gallery_id)

    def subject(self, gallery_id: str, subject_id: str) -> Subject:
        """See :meth:`gallery.stores.base.Store.subject`."""
        place = self._places.find(gallery_id)
        row = self._subject(place, gallery_id, subject_id)
        return subject_of(row, gallery_id, templates=len(self._templates(place, _of(subject_id), ())))

    def subjects(self, gallery_id: str, *, after: str, limit: int) -> list[Subject]:
        """See :meth:`gallery.stores.base.Store.subjects`."""
        return self._faces.subjects(self._places.find(gallery_id), gallery_id, after=after, limit=limit)

    def rename_subject(
        self, gallery_id: str, subject_id: str, *, display_name: str, etag: str, new_etag: str, at: datetime
    ) -> Subject:
        """See :meth:`gallery.stores.base.Store.rename_subject`."""
        place = self._places.find(gallery_id, strong=True)
        before = subject_of(self._subject(place, gallery_id, subject_id, strong=True), gallery_id, templates=0)
        _check_etag(gallery_id, subject_id, expected=before.etag, found=etag)
        after = replace(before, display_name=display_name, etag=new_etag, update_time=at)
        self._milvus.put(self._collections.subjects, [subject_row(after, place.key)])
        now = self._subject(place, gallery_id, subject_id)
        return subject_of(now, gallery_id, templates=len(self._templates(place, _of(subject_id), ())))

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str) -> int:
        """See :meth:`gallery.stores.base.Store.delete_subject`."""
        place = self._places.find(gallery_id, strong=True)
        subject = self._subject(place, gallery_id, subject_id, strong=True)
        _check_etag(gallery_id, subject_id, expected=subject["etag"], found=etag)
        deleted = self._remove_templates(place, subject_id)
        self._milvus.delete(self._collections.subjects, [row_id(place.key, subject_id)])
        # Once more, for what was enrolled by another replica meanwhile.
        self._remove_templates(place, subject_id)
        self._places.changed(gallery_id)
        return deleted

    def templates(self, gallery_id: str, subject_id: str, *, after: str, limit: int) -> list[Template]:
        """See :meth:`gallery.stores.base.Store.templates`."""
        place = self._places.find(gallery_id)
        self._subject(place, gallery_id, subject_id)
        if place.templates is None:
            return []
        beyond = f"id > {quoted(row_id(place.key, after))}"
        where = f"{place.here} and subject == {quoted(subject_id)} and {beyond}"
        rows = self._milvus.first(place.templates, where, TEMPLATE_FIELDS, limit=limit)
        return [template_of(row, gallery_id) for row in rows]

    def templates_of_picture(self, gallery_id: str, subject_id: str, picture_sha256: str) -> Sequence[Template]:
        """See :meth:`gallery.stores.base.Store.templates_of_picture`."""
        known = self.known(gallery_id, subject_id, picture_sha256=picture_sha256, request_id="")
        if known.subject is None:
            raise SubjectNotFound(gallery_id, subject_id)
        return known.templates_of_picture

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """See :meth:`gallery.stores.base.Store.template_of_request`."""
        return self.known(gallery_id, "", picture_sha256="", request_id=request_id).answered

    def known(self, gallery_id: str, subject_id: str, *, picture_sha256: str, request_id: str) -> Known:
        """See :meth:`gallery.stores.base.Store.known`."""
        place = self._places.find(gallery_id)
        key = row_id(place.key, subject_id)
        # Each waits for what was written before, so that they wait side by side.
        finding = self._threads.submit(self._places.find, gallery_id, strong=True)
        naming = self._threads.submit(
            self._milvus.by_id, self._collections.subjects, [key], SUBJECT_FIELDS, strong=True
        )
        answering = self._threads.submit(self._further_request, place, request_id)
        asked = f" or request == {quoted(request_id)}" if request_id else ""
        rows = self._templates(place, f"{_of(subject_id)}{asked}", TEMPLATE_FIELDS, strong=True)
        subject, further, found = naming.result().get(key), answering.result(), finding.result()
        if (found.key, found.templates) != (place.key, place.templates):
            return self.known(gallery_id, subject_id, picture_sha256=picture_sha256, request_id=request_id)
        own = [row for row in rows if row["subject"] == subject_id]
        return Known(
            subject=subject_of(subject, gallery_id, templates=len(own)) if subject else None,
            templates_of_picture=tuple(
                template_of(row, gallery_id) for row in own if subject and row["picture"] == picture_sha256
            ),
            answered=self._answered(place, rows, request_id, further),
        )

    def add_template(
        self,
        template: Template,
        embedding: NDArray[np.float32],
        *,
        new_subject: Subject | None,
        request: Request | None,
        crop: bytes | None,
    ) -> None:
        """See :meth:`gallery.stores.base.Store.add_template`. A subject that another replica just made stays."""
        place = self._places.find(template.gallery_id)
        subject_rows = self._milvus.by_id(
            self._collections.subjects, [row_id(place.key, template.subject_id)], SUBJECT_FIELDS
        )
        if not subject_rows:
            if new_subject is None:
                raise SubjectNotFound(template.gallery_id, template.subject_id)
            self._remove_remains(place, template.subject_id)
        collection = self._collections.templates_made(place.row["contract"], embedding.size)
        if crop is not None:
            self._milvus.insert(self._collections.made("crops"), [crop_row(template, place.key, crop)])
        self._milvus.insert(collection, [template_row(template, place.key, embedding, request)])
        if new_subject is not None and not subject_rows:
            self._milvus.put(self._collections.subjects, [subject_row(new_subject, place.key)])
        self._places.changed(template.gallery_id)

    def add_request(self, template: Template, request: Request) -> None:
        """See :meth:`gallery.stores.base.Store.add_request`."""
        place = self._places.find(template.gallery_id)
        self._template(place, template.gallery_id, template.subject_id, template.template_id)
        self._milvus.put(self._collections.made("requests"), [request_row(template, place.key, request)])

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_template`."""
        place = self._places.find(gallery_id, strong=True)
        self._subject(place, gallery_id, subject_id, strong=True)
        collection, row = self._template(place, gallery_id, subject_id, template_id)
        remove_templates(self._milvus, self._collections, collection, [row["id"]])
        self._places.changed(gallery_id)

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.Store.embedded_templates`; by template id."""
        return self._faces.embedded_templates(self._places.find(gallery_id), after=after, limit=limit)

    def faces(self, gallery_id: str, *, after: tuple[str, str], limit: int) -> list[StoredFace]:
        """See :meth:`gallery.stores.base.Store.faces`."""
        return self._faces.faces(self._places.find(gallery_id), gallery_id, after=after, limit=limit)

    def begin_import(self, gallery: Gallery) -> MilvusImport:
        """See :meth:`gallery.stores.base.Store.begin_import`."""
        self._need_free_id(gallery.gallery_id)
        return MilvusImport(self._milvus, self._collections, self._removal, gallery, self._publish)

    def index(self, gallery: Gallery, *, dimension: int) -> MilvusIndex:
        """See :meth:`gallery.stores.base.Store.index`.

        Raises:
            StorageUnavailable: the templates of this contract are of another dimension.
        """
        if self._collections.templates_found(gallery.contract):
            self._collections.templates_made(gallery.contract, dimension)
        return MilvusIndex(self._milvus, self._collections, self._places, gallery.gallery_id, strong=self._strong)

    def scrub(self) -> None:
        """See :meth:`gallery.stores.base.Store.scrub`; Milvus erases later, as docs/scale.md says."""
        self._removal.run()

    def close(self) -> None:
        """See :meth:`gallery.stores.base.Store.close`."""
        self._threads.shutdown()
        self._milvus.close()

    def _publish(self, gallery: Gallery, key: int) -> Gallery:
        """Make a hidden gallery, which may have rows already, one that everybody sees.

        Whoever wants an id says so first and looks who else does, then whether there is such a gallery. So of several
        at least all but one see another, and step back; somebody else's gallery of that id is never overwritten.
        """
        for _ in range(_ATTEMPTS):
            began = time.monotonic()
            self._removal.note(key, gallery.contract, wanted=gallery.gallery_id)
            if not self._removal.others_want(gallery.gallery_id, key, within=_CLAIM):
                self._need_free_id(gallery.gallery_id)
                if time.monotonic() - began > _CLAIM.total_seconds() / 2:
                    break
                self._milvus.put(self._collections.galleries, [gallery_row(gallery, key)])
                self._removal.forget(key)
                self._places.changed(gallery.gallery_id)
                return self.gallery(gallery.gallery_id)
            self._removal.note(key, gallery.contract)
            time.sleep(random.uniform(0, _STEP_BACK_SECONDS))  # noqa: S311 - so that they do not meet again
        raise StorageBusy(f"others are creating a gallery {gallery.gallery_id!r}")

    def _need_free_id(self, gallery_id: str) -> None:
        if self._milvus.by_id(self._collections.galleries, [gallery_id], (), strong=True):
            raise GalleryExists(gallery_id)

    def _counted(self, place: Place) -> Gallery:
        return gallery_of(place.row, subjects=self._places.subjects(place), templates=self._places.templates(place))

    def _subject(self, place: Place, gallery_id: str, subject_id: str, *, strong: bool = False) -> Row:
        key = row_id(place.key, subject_id)
        rows = self._milvus.by_id(self._collections.subjects, [key], SUBJECT_FIELDS, strong=strong)
        if key not in rows:
            raise SubjectNotFound(gallery_id, subject_id)
        return rows[key]

    def _template(self, place: Place, gallery_id: str, subject_id: str, template_id: str) -> tuple[str, Row]:
        key = row_id(place.key, template_id)
        rows = self._milvus.by_id(place.templates, [key], ("subject",), strong=True) if place.templates else {}
        if key not in rows or rows[key]["subject"] != subject_id:
            raise TemplateNotFound(gallery_id, subject_id, template_id)
        return str(place.templates), rows[key]

    def _templates(self, place: Place, where: str, fields: Sequence[str], *, strong: bool = False) -> list[Row]:
        if place.templates is None:
            return []
        pages = self._milvus.all(place.templates, f"{place.here} and ({where})", fields, strong=strong)
        return [row for page in pages for row in page]

    def _further_request(self, place: Place, request_id: str) -> Row | None:
        requests = self._collections.found("requests") if request_id else None
        if requests is None:
            return None
        key = row_id(place.key, request_id)
        return self._milvus.by_id(requests, [key], ("template", "digest"), strong=True).get(key)

    def _answered(
        self, place: Place, rows: Sequence[Row], request_id: str, further: Row | None
    ) -> tuple[Template, str] | None:
        gallery_id = place.row["id"]
        for row in rows:
            if request_id and row["request"] == request_id:
                key = row_id(place.key, row["subject"])
                subjects = self._milvus.by_id(self._collections.subjects, [key], (), strong=True)
                return (template_of(row, gallery_id), row["digest"]) if subjects else None
        if further is None or place.templates is None:
            return None
        found = self._milvus.by_id(place.templates, [further["template"]], TEMPLATE_FIELDS)
        return next(((template_of(row, gallery_id), further["digest"]) for row in found.values()), None)

    def _remove_templates(self, place: Place, subject_id: str) -> int:
        rows = self._templates(place, _of(subject_id), (), strong=True)
        if place.templates:
            remove_templates(self._milvus, self._collections, place.templates, [row["id"] for row in rows])
        return len(rows)

    def _remove_remains(self, place: Place, subject_id: str) -> None:
        before = microseconds(datetime.now(UTC) - REMAINS)
        rows = self._templates(place, f"{_of(subject_id)} and created < {before}", ())
        if place.templates:
            remove_templates(self._milvus, self._collections, place.templates, [row["id"] for row in rows])


def _of(subject_id: str) -> str:
    return f"subject == {quoted(subject_id)}"


def _check_etag(gallery_id: str, subject_id: str, *, expected: str, found: str) -> None:
    if found and found != expected:
        raise EtagMismatch(gallery_id, subject_id, expected=expected, found=found)
