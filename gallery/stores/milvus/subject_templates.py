"""The templates of subjects in Milvus, found by the subject, and removed with it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from gallery.errors import TemplateNotFound
from gallery.records.templates import Template
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.locating.expiry import ExpiryFilter
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.removal import remove_templates
from gallery.stores.milvus.rows import row_id, template_of
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
        threads: read both collections of a migration; none of them does so itself.
    """

    def __init__(
        self, milvus: MilvusConnection, collections: Collections, expiry: ExpiryFilter, threads: ThreadPoolExecutor
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._expiry = expiry
        self._threads = threads

    def find(
        self,
        location: GalleryLocation,
        where: str,
        fields: Sequence[str],
        *,
        strong: bool = False,
        also_expired: bool = False,
    ) -> list[Row]:
        """Return the templates of a gallery that match an expression, by their ids."""
        among = location.filter if also_expired else self._expiry.templates(location)
        wanted = f"{among} and ({where})"

        def read(collection: str) -> dict[str, Row]:
            pages = self._milvus.pages(collection, wanted, fields, strong=strong)
            return {row["id"]: row for page in pages for row in page}

        # Each strong read waits for earlier writes, so they run concurrently.
        first, *others = (location.stored if also_expired else location.listed) or ("",)
        reading = [self._threads.submit(read, each) for each in others]
        found = read(first) if first else {}
        for each in reading:
            found = each.result() | found
        return sorted(found.values(), key=_id)

    def page(
        self, location: GalleryLocation, gallery_id: str, subject_id: str, *, after: str, limit: int
    ) -> list[Template]:
        """List the templates of a subject after a template id."""
        where = f"{self._expiry.templates(location)} and {of_subject(subject_id)}"
        where += f" and id > {quoted(row_id(location.key, after))}"
        found: dict[str, Row] = {}
        for collection in location.listed:
            rows = self._milvus.first_page(collection, where, self._collections.fields("templates"), limit=limit)
            found = {row["id"]: row for row in rows} | found
        return [template_of(row, gallery_id) for row in sorted(found.values(), key=_id)[:limit]]

    def one(self, location: GalleryLocation, gallery_id: str, subject_id: str, template_id: str) -> Row:
        """Return the row of a subject's template.

        Raises:
            TemplateNotFound: the subject has no such template.
        """
        key = row_id(location.key, template_id)
        rows = self.find(location, f"id == {quoted(key)}", ("subject",), strong=True)
        if not rows or rows[0]["subject"] != subject_id:
            raise TemplateNotFound(gallery_id, subject_id, template_id)
        return rows[0]

    def count(self, location: GalleryLocation, subject_id: str, *, strong: bool = False) -> int:
        """Count the templates of a subject."""
        return len(self.find(location, of_subject(subject_id), (), strong=strong))

    def remove(self, location: GalleryLocation, subject_id: str) -> None:
        """Remove all templates of a subject."""
        self._remove(location, self.find(location, of_subject(subject_id), (), strong=True, also_expired=True))

    def remove_orphans(self, location: GalleryLocation, subject_ids: Sequence[str]) -> None:
        """Remove templates that are left from earlier subjects with these ids; see :data:`ORPHAN_AGE`."""
        where = f"{of_subjects(subject_ids)} and created < {microseconds_ago(ORPHAN_AGE)}"
        self._remove(location, self.find(location, where, (), also_expired=True))

    def remove_all_orphans(self, location: GalleryLocation) -> None:
        """Remove the templates whose subjects do not exist; see :data:`ORPHAN_AGE`."""
        where = f"{location.filter} and created < {microseconds_ago(ORPHAN_AGE)}"
        for collection in location.stored:
            for rows in self._milvus.pages(collection, where, ("subject",)):
                keys = {row["subject"]: row_id(location.key, row["subject"]) for row in rows}
                known = self._milvus.get(self._collections.subjects, list(keys.values()), (), strong=True)
                self._remove(location, [row for row in rows if keys[row["subject"]] not in known])

    def _remove(self, location: GalleryLocation, rows: Sequence[Row]) -> None:
        remove_templates(self._milvus, self._collections, location, [row["id"] for row in rows])


def of_subject(subject_id: str) -> str:
    """Return the expression that matches the templates of a subject."""
    return f"subject == {quoted(subject_id)}"


def of_subjects(subject_ids: Sequence[str]) -> str:
    """Return the expression that matches the templates of subjects."""
    return f"subject in {quoted_all(subject_ids)}"


def _id(row: Row) -> str:
    return str(row["id"])
