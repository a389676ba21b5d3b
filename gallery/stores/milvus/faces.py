"""Reads subjects and templates from Milvus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from gallery.records.subjects import Subject
from gallery.records.templates import EmbeddedTemplates, StoredFace
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.expiry import ExpiryFilter
from gallery.stores.milvus.gallery_location import GalleryLocation
from gallery.stores.milvus.rows import crop_of, id_of, row_id, subject_of, template_of
from gallery.stores.milvus.schema import VECTOR, Collections

_SUBJECTS_AT_ONCE = 200
_CROPS_AT_ONCE = 200
_NO_TEMPLATES = EmbeddedTemplates((), (), (), np.empty((0, 0), np.float32))


class FaceReader:
    """Reads subjects with their templates.

    Args:
        milvus: the connection.
        collections: its collections.
        expiry: tells the living from the expired.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections, expiry: ExpiryFilter) -> None:
        self._milvus = milvus
        self._collections = collections
        self._expiry = expiry

    def subjects(self, location: GalleryLocation, gallery_id: str, *, after: str, limit: int) -> list[Subject]:
        """List the subjects of a gallery after a subject id."""
        where = f"{self._expiry.subjects(location)} and id > {quoted(row_id(location.key, after))}"
        rows = self._milvus.first_page(
            self._collections.subjects, where, self._collections.fields("subjects"), limit=limit
        )
        counts = Counter(row["subject"] for row in self._template_ids(location, [row["subject"] for row in rows]))
        return [subject_of(row, gallery_id, templates=counts[row["subject"]]) for row in rows]

    def faces(
        self, location: GalleryLocation, gallery_id: str, *, after: tuple[str, str], limit: int
    ) -> list[StoredFace]:
        """List the subjects of a gallery with their templates, by subject id, then template id."""
        return self._stored_faces(location, gallery_id, list(islice(self._lines(location, after, limit), limit)))

    def embedded_by_subject(
        self, location: GalleryLocation, *, after: tuple[str, str], limit: int
    ) -> EmbeddedTemplates:
        """List the templates of a gallery by subject id, then template id."""
        if location.templates is None:
            return _NO_TEMPLATES
        lines = (line for line in self._lines(location, after, limit) if line[1])
        # A template may be gone by the time its embedding is read.
        while some := list(islice(lines, limit)):
            ids = [row_id(location.key, template_id) for _, template_id in some]
            rows = self._milvus.get(location.templates, ids, (VECTOR,))
            if found := [(*line, rows[key]) for key, line in zip(ids, some, strict=True) if key in rows]:
                return EmbeddedTemplates(
                    [subject["subject"] for subject, _, _ in found],
                    [subject["display_name"] for subject, _, _ in found],
                    [template_id for _, template_id, _ in found],
                    np.array([row[VECTOR] for _, _, row in found], np.float32),
                )
        return _NO_TEMPLATES

    def embedded_templates(self, location: GalleryLocation, *, after: str, limit: int) -> EmbeddedTemplates:
        """List the templates of a gallery after a template id."""
        while location.templates is not None:
            where = f"{self._expiry.templates(location)} and id > {quoted(row_id(location.key, after))}"
            rows = self._milvus.first_page(location.templates, where, ("subject", VECTOR), limit=limit)
            if not rows:
                break
            names = self.names(location, {row["subject"] for row in rows})
            after = id_of(rows[-1])
            if rows := [row for row in rows if row["subject"] in names]:
                subject_ids = [row["subject"] for row in rows]
                return EmbeddedTemplates(
                    subject_ids,
                    [names[subject_id] for subject_id in subject_ids],
                    [id_of(row) for row in rows],
                    np.array([row[VECTOR] for row in rows], np.float32),
                )
        return _NO_TEMPLATES

    def requests_of_template(self, location: GalleryLocation, template_id: str) -> list[str]:
        """List the ids of the requests that a template answered."""
        if location.templates is None:
            return []
        key = row_id(location.key, template_id)
        first = self._milvus.get(location.templates, [key], ("request",))
        found = {row["request"] for row in first.values() if row["request"]}
        if requests := self._collections.find("requests"):
            for rows in self._milvus.pages(requests, f"{location.filter} and template == {quoted(key)}", ("id",)):
                found |= {id_of(row) for row in rows}
        return sorted(found)

    def names(self, location: GalleryLocation, subject_ids: set[str], *, strong: bool = False) -> dict[str, str]:
        """Return the display names of the subjects that exist and have not expired."""
        keys = [row_id(location.key, subject_id) for subject_id in sorted(subject_ids)]
        fields = ("subject", "display_name", *self._expiry.checked_fields())
        rows = self._milvus.get(self._collections.subjects, keys, fields, strong=strong)
        living = (row for row in rows.values() if self._expiry.is_living(location, row))
        return {row["subject"]: row["display_name"] for row in living}

    def _lines(self, location: GalleryLocation, after: tuple[str, str], limit: int) -> Iterator[tuple[Row, str]]:
        """Yield the rows of subjects with the ids of their templates after one; an empty id without templates."""
        for subjects in self._subjects_from(location, after[0], at_once=min(limit, _SUBJECTS_AT_ONCE)):
            templates: dict[str, list[str]] = {row["subject"]: [] for row in subjects}
            for row in self._template_ids(location, list(templates)):
                templates[row["subject"]].append(id_of(row))
            lines = ((row, each) for row in subjects for each in sorted(templates[row["subject"]]) or [""])
            yield from ((row, each) for row, each in lines if (row["subject"], each) > after)

    def _subjects_from(self, location: GalleryLocation, first: str, *, at_once: int) -> Iterator[list[Row]]:
        beyond = f"id >= {quoted(row_id(location.key, first))}"
        where = f"{self._expiry.subjects(location)} and {beyond}"
        return self._milvus.pages(
            self._collections.subjects, where, self._collections.fields("subjects"), at_once=at_once
        )

    def _template_ids(self, location: GalleryLocation, subject_ids: Sequence[str]) -> Iterator[Row]:
        if location.templates is None:
            return
        for start in range(0, len(subject_ids), _SUBJECTS_AT_ONCE):
            theirs = f"subject in {quoted_all(subject_ids[start : start + _SUBJECTS_AT_ONCE])}"
            where = f"{self._expiry.templates(location)} and {theirs}"
            for rows in self._milvus.pages(location.templates, where, ("subject",)):
                yield from rows

    def _stored_faces(
        self, location: GalleryLocation, gallery_id: str, lines: Sequence[tuple[Row, str]]
    ) -> list[StoredFace]:
        ids = [row_id(location.key, template_id) for _, template_id in lines if template_id]
        fields = (*self._collections.fields("templates"), VECTOR)
        rows = self._milvus.get(location.templates, ids, fields) if location.templates else {}
        crops = self._crops([each for each, row in rows.items() if row["has_crop"]])
        faces = []
        for subject_row, template_id in lines:
            subject = subject_of(subject_row, gallery_id, templates=0)
            key = row_id(location.key, template_id)
            if not template_id:
                faces.append(StoredFace(subject, None, None, None))
            elif row := rows.get(key):
                embedding = np.array(row[VECTOR], np.float32)
                faces.append(StoredFace(subject, template_of(row, gallery_id), embedding, crops.get(key)))
        return faces

    def _crops(self, ids: Sequence[str]) -> dict[str, bytes]:
        crops: dict[str, bytes] = {}
        collection = self._collections.find("crops") if ids else None
        if collection is not None:
            for start in range(0, len(ids), _CROPS_AT_ONCE):
                rows = self._milvus.get(collection, ids[start : start + _CROPS_AT_ONCE], ("png",))
                crops |= {key: crop_of(row) for key, row in rows.items()}
        return crops
