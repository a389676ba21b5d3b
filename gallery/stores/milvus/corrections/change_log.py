"""Corrections of who is who in Milvus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gallery.errors import SubjectNotFound, TooManyTemplates, UndoConflict
from gallery.records.changes import MovedTemplate, Rearrangement, StoredChange
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.corrections.claims import Claims, is_recent
from gallery.stores.milvus.corrections.distinct_pairs import DistinctRows
from gallery.stores.milvus.corrections.intents import Intent, final_text, from_row, intent_of, is_unfinished, to_text
from gallery.stores.milvus.corrections.moving import TemplateMover
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.outcomes import MilvusOutcomes
from gallery.stores.milvus.removal import remove_templates
from gallery.stores.milvus.rows import id_of, row_id, subject_of, subject_row, template_of
from gallery.stores.milvus.schema import MAX_CHANGE, Collections, with_no_vector
from gallery.stores.milvus.subject_templates import SubjectTemplates, of_subject
from gallery.times import from_microseconds, new_id, now, to_microseconds

_KIND = "changes"
_FIELDS = ("request", "one", "other", "until", "text")
_IDS_AT_ONCE = 200


class MilvusChangeLog:
    """See :class:`gallery.stores.logs.ChangeLog`.

    Milvus has no transactions and cannot replace a template. So a template that goes to another subject gets a new id,
    and its old id again when that is undone. The whole correction is written first, as an :class:`Intent` in the row of
    its change. Templates are copied before the old ones are removed, a subject is removed last, and the row becomes
    that of a finished change. If the process dies in between, nothing is lost, and some templates may belong to both
    subjects. :meth:`finish` does the rest: every step may be repeated. One thread of one server at a time does
    that, see :class:`Claims`.

    Args:
        milvus: the connection.
        collections: its collections.
        locator: finds the rows of galleries.
        templates: finds the templates of subjects.
        distinct: the pairs of subjects that were told apart.
        outcomes: what was said about answers, which names subjects.
    """

    keeps_template_ids = False

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        locator: GalleryLocator,
        templates: SubjectTemplates,
        distinct: DistinctRows,
        outcomes: MilvusOutcomes,
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._templates = templates
        self._distinct = distinct
        self._outcomes = outcomes
        self._mover = TemplateMover(milvus, collections)
        self._claims = Claims(milvus, collections)

    def change(self, gallery_id: str, change_id: str) -> StoredChange | None:
        """See :meth:`gallery.stores.logs.ChangeLog.change`."""
        location = self._locator.find(gallery_id, strong=True)
        return self._one(location, f"id == {quoted(row_id(location.key, change_id))}")

    def change_of_request(self, gallery_id: str, request_id: str) -> StoredChange | None:
        """See :meth:`gallery.stores.logs.ChangeLog.change_of_request`."""
        return self._one(self._locator.find(gallery_id, strong=True), f"request == {quoted(request_id)}")

    def changes(self, gallery_id: str, *, before: str = "", limit: int | None = None) -> Sequence[StoredChange]:
        """See :meth:`gallery.stores.logs.ChangeLog.changes`."""
        location = self._locator.find(gallery_id, strong=True)
        collection = self._collections.find(_KIND)
        if collection is None:
            return []
        # Milvus does not sort, and texts are long: those of other pages are not read.
        where = f"{location.filter} and text != ''"
        if before:
            where += f" and id < {quoted(row_id(location.key, before))}"
        ids = sorted((row["id"] for row in self._milvus.query(collection, where, ("id",), strong=True)), reverse=True)
        rows = self._milvus.get(collection, ids[:limit], ("id", *_FIELDS), strong=True)
        return [_stored(rows[each]) for each in ids[:limit] if each in rows]

    def replace(self, gallery_id: str, change: StoredChange) -> None:
        """See :meth:`gallery.stores.logs.ChangeLog.replace`."""
        location = self._locator.find(gallery_id, strong=True)
        for row in self._rows(location, f"id == {quoted(row_id(location.key, change.change_id))}"):
            self._write(location, replace(change, text=intent_of(row) + change.text))

    def holders_of_changes(self, gallery_id: str, subject_id: str) -> Mapping[str, tuple[str, ...]]:
        """See :meth:`gallery.stores.logs.ChangeLog.holders_of_changes`."""
        location = self._locator.find(gallery_id, strong=True)
        return {id_of(row): _holders(row) for row in self._rows(location, _of_subject(subject_id))}

    def subjects_of_templates(self, gallery_id: str, template_ids: Sequence[str]) -> Mapping[str, str]:
        """See :meth:`gallery.stores.logs.ChangeLog.subjects_of_templates`."""
        location = self._locator.find(gallery_id, strong=True)
        keys = [row_id(location.key, template_id) for template_id in template_ids]
        found: dict[str, str] = {}
        for start in range(0, len(keys), _IDS_AT_ONCE):
            where = f"id in {quoted_all(keys[start : start + _IDS_AT_ONCE])}"
            found |= {
                id_of(row): row["subject"] for row in self._templates.find(location, where, ("subject",), strong=True)
            }
        return found

    def mark(self, gallery_id: str) -> str | None:
        """See :meth:`gallery.stores.logs.ChangeLog.mark`."""
        return self._claims.mark(self._locator.find(gallery_id, strong=True))

    def rearrange(self, gallery_id: str, wanted: Rearrangement) -> None:
        """See :meth:`gallery.stores.logs.ChangeLog.rearrange`; the class says how it is interrupted.

        Raises:
            TooManyTemplates: what it takes to make and to undo it is longer than a text in Milvus.
        """
        location = self._locator.find(gallery_id, strong=True)
        rows = self._subjects(location, wanted)
        intent = Intent(
            wanted,
            to_microseconds(now()),
            rows[wanted.from_subject_id]["created"] if wanted.from_subject_id in rows else 0,
            rows[wanted.updated.subject_id]["etag"] if wanted.updated and wanted.updated.subject_id in rows else "",
        )
        with self._claims.held(location, wanted.change.change_id):
            self._begin(location, gallery_id, intent)
            self._carry_out(location, gallery_id, intent)

    def finish(self, gallery_id: str, subject_ids: Sequence[str] = (), *, change_id: str = "") -> list[Rearrangement]:
        """See :meth:`gallery.stores.logs.ChangeLog.finish`."""
        location = self._locator.find(gallery_id, strong=True)
        among = quoted_all(subject_ids)
        wanted = (
            f"one in {among} or other in {among}" if subject_ids else f"id == {quoted(row_id(location.key, change_id))}"
        )
        intents = [from_row(row, gallery_id) for row in self._rows(location, wanted) if is_unfinished(row)]
        finished: list[Rearrangement] = []
        for intent in sorted(intents, key=lambda each: each.began):
            finished += self._finish(location, gallery_id, intent.wanted.change.change_id)
        return finished

    def remove_subject(self, location: GalleryLocation, subject_id: str) -> None:
        """Delete the changes that a subject holds, and what an interrupted one has of it elsewhere."""
        if collection := self._collections.find(_KIND):
            rows = self._rows(location, _of_subject(subject_id))
            for row in rows:
                if is_unfinished(row):
                    self._remove_merged(location, from_row(row, location.row["id"]).wanted, subject_id)
            self._milvus.delete(collection, [row["id"] for row in rows])

    def erase_old(self, gallery_id: str, *, until: datetime) -> None:
        """See :meth:`gallery.stores.logs.ChangeLog.erase_old`. What was interrupted is finished first."""
        location = self._locator.find(gallery_id)
        for row in self._rows(location, f"until <= {to_microseconds(until)} and text != ''"):
            if is_unfinished(row):
                if is_recent(from_row(row, gallery_id).began):
                    continue
                self._finish(location, gallery_id, id_of(row))
            erased = StoredChange(id_of(row), "", _holders(row), from_microseconds(row["until"]), "")
            self._write(location, erased)

    def _begin(self, location: GalleryLocation, gallery_id: str, intent: Intent) -> None:
        wanted = intent.wanted
        text = to_text(intent, location.key, self._collections)
        if len(text.encode()) > MAX_CHANGE:
            limit = len(wanted.moved) * MAX_CHANGE // len(text.encode())
            raise TooManyTemplates(gallery_id, wanted.from_subject_id, limit, wanted=len(wanted.moved))
        holders = (wanted.from_subject_id, wanted.into_subject_id)
        self._write(location, replace(wanted.change, holders=holders, text=text))

    def _finish(self, location: GalleryLocation, gallery_id: str, change_id: str) -> list[Rearrangement]:
        """Do the rest of a correction, and return it, unless another server has done it since."""
        with self._claims.held(location, change_id):
            rows = self._rows(location, f"id == {quoted(row_id(location.key, change_id))}")
            intents = [from_row(row, gallery_id) for row in rows if is_unfinished(row)]
            for intent in intents:
                self._carry_out(location, gallery_id, intent)
        return [intent.wanted for intent in intents]

    def _carry_out(self, location: GalleryLocation, gallery_id: str, intent: Intent) -> None:
        """Do what an intent says, as far as it is not done."""
        wanted = intent.wanted
        rows = self._subjects(location, wanted)
        source = rows.get(wanted.from_subject_id)
        is_removing = wanted.is_removed and source is not None and source["created"] == intent.from_created
        if is_removing and (rest := self._rest(location, gallery_id, wanted)):
            wanted = replace(wanted, moved=(*wanted.moved, *rest))
            self._begin(location, gallery_id, replace(intent, wanted=wanted))
        self._write_subjects(location, gallery_id, replace(intent, wanted=wanted), rows)
        self._mover.move(location, wanted.moved, wanted.into_subject_id)
        self._distinct.replace(location, added=wanted.added_pairs, removed=wanted.removed_pairs)
        self._write_holders(location, wanted)
        if is_removing:
            self._templates.remove(location, wanted.from_subject_id)
            self._distinct.remove_subject(location, wanted.from_subject_id)
            self._outcomes.forget_subject(location, wanted.from_subject_id)
            self._milvus.delete(self._collections.subjects, [row_id(location.key, wanted.from_subject_id)])
        self._write(location, wanted.change)
        self._locator.invalidate(gallery_id)

    def _rest(self, location: GalleryLocation, gallery_id: str, wanted: Rearrangement) -> list[MovedTemplate]:
        """Return the templates that a subject that disappears got since; they go to the other one, too."""
        known = {each.template_id for each in wanted.moved}
        where, fields = of_subject(wanted.from_subject_id), self._collections.fields("templates")
        found = [template_of(row, gallery_id) for row in self._templates.find(location, where, fields, strong=True)]
        return [
            MovedTemplate(each.template_id, new_id(), each.expire_time)
            for each in found
            if each.template_id not in known
        ]

    def _write_subjects(
        self, location: GalleryLocation, gallery_id: str, intent: Intent, rows: Mapping[str, Row]
    ) -> None:
        """Write the subjects that are not written yet; what was changed in them since stays."""
        wanted, written = intent.wanted, []
        into = rows.get(wanted.into_subject_id)
        if wanted.created is None and into is None:
            raise SubjectNotFound(gallery_id, wanted.into_subject_id)
        if wanted.created is not None and into is None:
            written.append(wanted.created)
        elif wanted.created is not None and into and into["created"] != to_microseconds(wanted.created.create_time):
            problem = f"subject {wanted.into_subject_id!r} exists again, as another one"
            raise UndoConflict(gallery_id, wanted.change.change_id, problem)
        if wanted.updated is not None and (row := rows.get(wanted.updated.subject_id)):
            if row["etag"] == intent.etag:
                written.append(wanted.updated)
            elif wanted.is_removed and row["etag"] != wanted.updated.etag:
                since = subject_of(row, gallery_id, templates=0)
                written.append(
                    replace(
                        wanted.updated,
                        display_name=since.display_name,
                        etag=since.etag,
                        update_time=since.update_time,
                    )
                )
        fields = self._collections.fields("subjects")
        if written:
            self._milvus.upsert(
                self._collections.subjects, [subject_row(each, location.key, fields) for each in written]
            )

    def _write_holders(self, location: GalleryLocation, wanted: Rearrangement) -> None:
        holders = {row_id(location.key, change_id): some for change_id, some in wanted.holders.items()}
        if collection := self._collections.find(_KIND):
            rows = self._milvus.get(collection, list(holders), ("gallery", *_FIELDS), strong=True)
            for key, row in rows.items():
                row["one"], row["other"] = (*holders[key], "", "")[:2]
            self._milvus.upsert(collection, [with_no_vector(row) for row in rows.values()])

    def _remove_merged(self, location: GalleryLocation, wanted: Rearrangement, subject_id: str) -> None:
        """Remove the templates that an interrupted merge, or its undoing, has taken from a subject or not returned."""
        of_it = (wanted.is_removed and subject_id == wanted.from_subject_id) or (
            wanted.created is not None and subject_id == wanted.into_subject_id
        )
        if of_it:
            ids = [row_id(location.key, each) for one in wanted.moved for each in (one.template_id, one.new_id)]
            remove_templates(self._milvus, self._collections, location, ids)

    def _subjects(self, location: GalleryLocation, wanted: Rearrangement) -> dict[str, Row]:
        """Return the rows of the two subjects of a correction, by subject id."""
        ids = (wanted.from_subject_id, wanted.into_subject_id)
        keys = [row_id(location.key, each) for each in ids]
        fields = self._collections.fields("subjects")
        rows = self._milvus.get(self._collections.subjects, keys, fields, strong=True)
        return {row["subject"]: row for row in rows.values()}

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


def _stored(row: Row) -> StoredChange:
    return StoredChange(id_of(row), row["request"], _holders(row), from_microseconds(row["until"]), final_text(row))


def _holders(row: Row) -> tuple[str, ...]:
    return tuple(each for each in (row["one"], row["other"]) if each)


def _of_subject(subject_id: str) -> str:
    return f"one == {quoted(subject_id)} or other == {quoted(subject_id)}"
