"""The enrolment requests in Milvus, and the templates that they were answered with."""

from __future__ import annotations

from collections.abc import Sequence

from gallery.records.templates import Template
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted
from gallery.stores.milvus.faces import FaceReader
from gallery.stores.milvus.locating.expiry import ExpiryFilter
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.rows import row_id, template_of
from gallery.stores.milvus.schema import Collections
from gallery.stores.milvus.subject_templates import SubjectTemplates


class AnsweredRequests:
    """Finds what a request was answered with.

    The first request of a template is in the template's row. Further ones have rows of their own.

    Args:
        milvus: the connection.
        collections: the collections.
        expiry: tells what has expired.
        faces: reads names of subjects.
        templates: finds templates.
    """

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        expiry: ExpiryFilter,
        faces: FaceReader,
        templates: SubjectTemplates,
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._expiry = expiry
        self._faces = faces
        self._templates = templates

    def further(self, location: GalleryLocation, request_ids: Sequence[str]) -> dict[str, Row]:
        """Return the rows of further requests of templates, by request id."""
        requests = self._collections.find("requests") if request_ids else None
        if requests is None:
            return {}
        keys = {row_id(location.key, request_id): request_id for request_id in request_ids}
        found = self._milvus.get(requests, list(keys), ("template", "digest"), strong=True)
        return {keys[key]: row for key, row in found.items()}

    def answer(
        self, location: GalleryLocation, rows: Sequence[Row], request_id: str, further: Row | None
    ) -> tuple[Template, str] | None:
        """Return the template that a request was answered with, and its digest; ``None`` if it was not answered.

        Args:
            location: the gallery.
            rows: templates, with all whose first request this is.
            request_id: the request.
            further: what :meth:`further` returned for it; ``None`` if that was nothing.
        """
        gallery_id = location.row["id"]
        for row in rows:
            if request_id and row["request"] == request_id:
                key = row_id(location.key, row["subject"])
                fields = self._expiry.checked_fields()
                subject = self._milvus.get(self._collections.subjects, [key], fields, strong=True).get(key)
                if subject is not None and self._expiry.is_living(location, subject):
                    return template_of(row, gallery_id), row["digest"]
        if further is None:
            return None
        where = f"id == {quoted(further['template'])}"
        for row in self._templates.find(location, where, self._collections.fields("templates")):
            if row["subject"] in self._faces.names(location, {row["subject"]}):
                return template_of(row, gallery_id), further["digest"]
        return None
