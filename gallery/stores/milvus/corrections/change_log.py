"""Corrections of who is who in Milvus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from gallery.errors import TooManyTemplates
from gallery.records.changes import Rearrangement, StoredChange
from gallery.records.subjects import Subject
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.corrections.distinct_pairs import DistinctRows
from gallery.stores.milvus.corrections.moving import TemplateMover
from gallery.stores.milvus.gallery_location import GalleryLocation
from gallery.stores.milvus.locations import GalleryLocator
from gallery.stores.milvus.rows import id_of, row_id, subject_row
from gallery.stores.milvus.schema import MAX_CHANGE, Collections, with_no_vector
from gallery.stores.milvus.subject_templates import SubjectTemplates
from gallery.times import from_microseconds, to_microseconds

_KIND = "changes"
_FIELDS = ("request", "one", "other", "until", "text")
_IDS_AT_ONCE = 200


class MilvusChangeLog:
    """See :class:`gallery.stores.base.ChangeLog`.

    Milvus has no transactions and cannot replace a template. So a template that goes to another subject gets a new id,
    and its old id again when that is undone. The templates are copied before the old ones are removed, and a subject is
    removed last: if the process dies in between, nothing is lost, and some templates may belong to both subjects. The
    same call, repeated, does the rest.

    Args:
        milvus: the connection.
        collections: its collections.
        locator: finds the rows of galleries.
        templates: finds the templates of subjects.
        distinct: the pairs of subjects that were told apart.
    """

    keeps_template_ids = False

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        locator: GalleryLocator,
        templates: SubjectTemplates,
        distinct: DistinctRows,
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._templates = templates
        self._distinct = distinct
        self._mover = TemplateMover(milvus, collections)

    def change(self, gallery_id: str, change_id: str) -> StoredChange | None:
        """See :meth:`gallery.stores.base.ChangeLog.change`."""
        location = self._locator.find(gallery_id, strong=True)
        return self._one(location, f"id == {quoted(row_id(location.key, change_id))}")

    def change_of_request(self, gallery_id: str, request_id: str) -> StoredChange | None:
        """See :meth:`gallery.stores.base.ChangeLog.change_of_request`."""
        return self._one(self._locator.find(gallery_id, strong=True), f"request == {quoted(request_id)}")

    def changes(self, gallery_id: str) -> Sequence[StoredChange]:
        """See :meth:`gallery.stores.base.ChangeLog.changes`."""
        location = self._locator.find(gallery_id, strong=True)
        return [_stored(row) for row in self._rows(location, "text != ''")]

    def replace(self, gallery_id: str, change: StoredChange) -> None:
        """See :meth:`gallery.stores.base.ChangeLog.replace`."""
        location = self._locator.find(gallery_id, strong=True)
        if self._one(location, f"id == {quoted(row_id(location.key, change.change_id))}") is not None:
            self._write(location, change)

    def holders_of_changes(self, gallery_id: str, subject_id: str) -> Mapping[str, tuple[str, ...]]:
        """See :meth:`gallery.stores.base.ChangeLog.holders_of_changes`."""
        location = self._locator.find(gallery_id, strong=True)
        return {id_of(row): _holders(row) for row in self._rows(location, _of_subject(subject_id))}

    def subjects_of_templates(self, gallery_id: str, template_ids: Sequence[str]) -> Mapping[str, str]:
        """See :meth:`gallery.stores.base.ChangeLog.subjects_of_templates`."""
        location = self._locator.find(gallery_id, strong=True)
        keys = [row_id(location.key, template_id) for template_id in template_ids]
        found: dict[str, str] = {}
        for start in range(0, len(keys), _IDS_AT_ONCE):
            where = f"id in {quoted_all(keys[start : start + _IDS_AT_ONCE])}"
            found |= {
                id_of(row): row["subject"] for row in self._templates.find(location, where, ("subject",), strong=True)
            }
        return found

    def rearrange(self, gallery_id: str, wanted: Rearrangement) -> None:
        """See :meth:`gallery.stores.base.ChangeLog.rearrange`; the class says how it is interrupted.

        Raises:
            TooManyTemplates: what it takes to undo it is longer than a text in Milvus.
        """
        location = self._locator.find(gallery_id, strong=True)
        if len(wanted.change.text.encode()) > MAX_CHANGE:
            limit = len(wanted.moved) * MAX_CHANGE // len(wanted.change.text.encode())
            raise TooManyTemplates(gallery_id, wanted.from_subject_id, limit, wanted=len(wanted.moved))
        self._write_subjects(location, wanted.created, wanted.updated)
        self._mover.move(location, wanted.moved, wanted.into_subject_id)
        self._distinct.replace(location, added=wanted.added_pairs, removed=wanted.removed_pairs)
        for change_id, holders in wanted.holders.items():
            known = self._one(location, f"id == {quoted(row_id(location.key, change_id))}")
            if known is not None:
                self._write(location, StoredChange(change_id, known.request_id, holders, known.undo_until, known.text))
        if wanted.is_removed:
            self._templates.remove(location, wanted.from_subject_id)
            self._distinct.remove_subject(location, wanted.from_subject_id)
            self._milvus.delete(self._collections.subjects, [row_id(location.key, wanted.from_subject_id)])
        self._write(location, wanted.change)
        self._locator.invalidate(gallery_id)

    def remove_subject(self, location: GalleryLocation, subject_id: str) -> None:
        """Delete the changes that a subject holds."""
        if collection := self._collections.find(_KIND):
            self._milvus.delete(collection, [row["id"] for row in self._rows(location, _of_subject(subject_id))])

    def erase_old(self, gallery_id: str, *, until: datetime) -> None:
        """See :meth:`gallery.stores.base.ChangeLog.erase_old`."""
        location = self._locator.find(gallery_id)
        for row in self._rows(location, f"until <= {to_microseconds(until)} and text != ''"):
            erased = StoredChange(id_of(row), "", _holders(row), from_microseconds(row["until"]), "")
            self._write(location, erased)

    def _one(self, location: GalleryLocation, where: str) -> StoredChange | None:
        return next(iter([_stored(row) for row in self._rows(location, where)]), None)

    def _rows(self, location: GalleryLocation, where: str) -> list[Row]:
        collection = self._collections.find(_KIND)
        if collection is None:
            return []
        return self._milvus.query(collection, f"{location.filter} and ({where})", ("id", *_FIELDS), strong=True)

    def _write(self, location: GalleryLocation, change: StoredChange) -> None:
        one, other = (*change.holders, "")[:2]
        row = {
            "id": row_id(location.key, change.change_id),
            "gallery": location.key,
            "request": change.request_id,
            "one": one,
            "other": other,
            "until": to_microseconds(change.undo_until),
            "text": change.text,
        }
        self._milvus.upsert(self._collections.ensure(_KIND), [with_no_vector(row)])

    def _write_subjects(self, location: GalleryLocation, *subjects: Subject | None) -> None:
        fields = self._collections.fields("subjects")
        rows = [subject_row(each, location.key, fields) for each in subjects if each is not None]
        if rows:
            self._milvus.upsert(self._collections.subjects, rows)


def _stored(row: Row) -> StoredChange:
    return StoredChange(id_of(row), row["request"], _holders(row), from_microseconds(row["until"]), row["text"])


def _holders(row: Row) -> tuple[str, ...]:
    return tuple(each for each in (row["one"], row["other"]) if each)


def _of_subject(subject_id: str) -> str:
    return f"one == {quoted(subject_id)} or other == {quoted(subject_id)}"
