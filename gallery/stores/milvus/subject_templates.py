"""The templates of subjects in Milvus, found by the subject, and removed with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from gallery.errors import TemplateNotFound
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted
from gallery.stores.milvus.expiry import ExpiryFilter
from gallery.stores.milvus.gallery_location import GalleryLocation
from gallery.stores.milvus.removal import remove_templates
from gallery.stores.milvus.rows import row_id
from gallery.stores.milvus.schema import Collections
from gallery.times import microseconds_ago

ORPHAN_AGE = timedelta(minutes=1)
"""A template without a subject that is older than this is left from an enrolment that died or met a deletion; a younger
one may be half of an enrolment at another replica."""


class SubjectTemplates:
    """Finds and removes templates.

    Args:
        milvus: the connection.
        collections: the collections.
        expiry: tells what has expired.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections, expiry: ExpiryFilter) -> None:
        self._milvus = milvus
        self._collections = collections
        self._expiry = expiry

    def find(
        self,
        location: GalleryLocation,
        where: str,
        fields: Sequence[str],
        *,
        strong: bool = False,
        also_expired: bool = False,
    ) -> list[Row]:
        """Return the templates of a gallery that match an expression."""
        if location.templates is None:
            return []
        among = location.filter if also_expired else self._expiry.templates(location)
        pages = self._milvus.pages(location.templates, f"{among} and ({where})", fields, strong=strong)
        return [row for page in pages for row in page]

    def one(self, location: GalleryLocation, gallery_id: str, subject_id: str, template_id: str) -> tuple[str, Row]:
        """Return the collection and the row of a subject's template.

        Raises:
            TemplateNotFound: the subject has no such template.
        """
        key = row_id(location.key, template_id)
        rows = self.find(location, f"id == {quoted(key)}", ("subject",), strong=True)
        if not rows or rows[0]["subject"] != subject_id:
            raise TemplateNotFound(gallery_id, subject_id, template_id)
        return str(location.templates), rows[0]

    def count(self, location: GalleryLocation, subject_id: str, *, strong: bool = False) -> int:
        """Count the templates of a subject."""
        return len(self.find(location, of_subject(subject_id), (), strong=strong))

    def remove(self, location: GalleryLocation, subject_id: str) -> None:
        """Remove all templates of a subject."""
        self._remove(location, self.find(location, of_subject(subject_id), (), strong=True, also_expired=True))

    def remove_orphans(self, location: GalleryLocation, subject_id: str) -> None:
        """Remove templates that are left from an earlier subject with this id; see :data:`ORPHAN_AGE`."""
        where = f"{of_subject(subject_id)} and created < {microseconds_ago(ORPHAN_AGE)}"
        self._remove(location, self.find(location, where, (), also_expired=True))

    def _remove(self, location: GalleryLocation, rows: Sequence[Row]) -> None:
        if location.templates:
            remove_templates(self._milvus, self._collections, location.templates, [row["id"] for row in rows])


def of_subject(subject_id: str) -> str:
    """Return the expression that matches the templates of a subject."""
    return f"subject == {quoted(subject_id)}"
