"""Reads subjects and templates from Milvus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gallery.records.subjects import Subject
from gallery.records.templates import EmbeddedTemplates, StoredFace
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.locating.expiry import ExpiryFilter
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.rows import crop_of, id_of, row_id, subject_of, template_of
from gallery.stores.milvus.schema import VECTOR, Collections

_SUBJECTS_AT_ONCE = 200
_CROPS_AT_ONCE = 200
NO_TEMPLATES = EmbeddedTemplates((), (), (), np.empty((0, 0), np.float32))


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
        counts = Counter(self._subjects_of_templates(location, [row["subject"] for row in rows]).values())
        return [subject_of(row, gallery_id, templates=counts[row["subject"]]) for row in rows]

    def faces(
        self, location: GalleryLocation, gallery_id: str, *, after: tuple[str, str], limit: int
    ) -> list[StoredFace]:
        """List the subjects of a gallery with their templates, by subject id, then template id."""
        return self.stored_faces(location, gallery_id, list(islice(self.lines(location, after, limit), limit)))

    def embedded_by_subject(
        self, location: GalleryLocation, *, after: tuple[str, str], limit: int
    ) -> EmbeddedTemplates:
        """List the templates of a gallery by subject id, then template id."""
        if location.templates is None:
            return NO_TEMPLATES
        lines = (line for line in self.lines(location, after, limit) if line[1])
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
        return NO_TEMPLATES

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
                return embedded(rows, names)
        return NO_TEMPLATES

    def requests_of_template(self, location: GalleryLocation, template_id: str) -> list[str]:
        """List the ids of the requests that a template answered."""
        key = row_id(location.key, template_id)
        rows = [row for each in location.listed for row in self._milvus.get(each, [key], ("request",)).values()]
        found = {row["request"] for row in rows if row["request"]}
        if not rows:
            return []
        if requests := self._collections.find("requests"):
            for page in self._milvus.pages(requests, f"{location.filter} and template == {quoted(key)}", ("id",)):
                found |= {id_of(row) for row in page}
        return sorted(found)

    def names(self, location: GalleryLocation, subject_ids: set[str], *, strong: bool = False) -> dict[str, str]:
        """Return the display names of the subjects that exist and have not expired."""
        fields = ("subject", "display_name", *self._expiry.checked_fields())
        rows = self._subject_rows(location, subject_ids, fields, strong=strong)
        return {subject_id: row["display_name"] for subject_id, row in rows.items()}

    def subject_rows(self, location: GalleryLocation, subject_ids: set[str]) -> dict[str, Row]:
        """Return the rows of the subjects that exist and have not expired, as :meth:`lines` does."""
        return self._subject_rows(location, subject_ids, self._collections.fields("subjects"))

    def lines(self, location: GalleryLocation, after: tuple[str, str], limit: int) -> Iterator[tuple[Row, str]]:
        """Yield the rows of subjects with the ids of their templates after one; an empty id without templates."""
        for subjects in self._subjects_from(location, after[0], at_once=min(limit, _SUBJECTS_AT_ONCE)):
            templates: dict[str, list[str]] = {row["subject"]: [] for row in subjects}
            for template_id, subject_id in self._subjects_of_templates(location, list(templates)).items():
                templates[subject_id].append(template_id)
            lines = ((row, each) for row in subjects for each in sorted(templates[row["subject"]]) or [""])
            yield from ((row, each) for row, each in lines if (row["subject"], each) > after)

    def stored_faces(
        self,
        location: GalleryLocation,
        gallery_id: str,
        lines: Sequence[tuple[Row, str]],
        *,
        with_embeddings: bool = True,
    ) -> list[StoredFace]:
        """Return subjects with their templates, for what :meth:`lines` yielded."""
        ids = [row_id(location.key, template_id) for _, template_id in lines if template_id]
        fields = (*self._collections.fields("templates"), *((VECTOR,) if with_embeddings else ()))
        own, others = (
            self._milvus.get(each, ids, fields) if each in location.listed else {}
            for each in (location.templates, location.others)
        )
        rows = others | own
        crops = self._crops([each for each, row in rows.items() if row["has_crop"]])
        faces = []
        for subject_row, template_id in lines:
            subject = subject_of(subject_row, gallery_id, templates=0)
            key = row_id(location.key, template_id)
            if not template_id:
                faces.append(StoredFace(subject, None, None, None))
            elif row := rows.get(key):
                template = template_of(row, gallery_id)
                faces.append(StoredFace(subject, template, _vector(own, key), crops.get(key), _vector(others, key)))
        return faces

    def _subject_rows(
        self, location: GalleryLocation, subject_ids: set[str], fields: Sequence[str], *, strong: bool = False
    ) -> dict[str, Row]:
        keys = [row_id(location.key, subject_id) for subject_id in sorted(subject_ids)]
        rows = self._milvus.get(self._collections.subjects, keys, fields, strong=strong)
        return {row["subject"]: row for row in rows.values() if self._expiry.is_living(location, row)}

    def _subjects_from(self, location: GalleryLocation, first: str, *, at_once: int) -> Iterator[list[Row]]:
        beyond = f"id >= {quoted(row_id(location.key, first))}"
        where = f"{self._expiry.subjects(location)} and {beyond}"
        return self._milvus.pages(
            self._collections.subjects, where, self._collections.fields("subjects"), at_once=at_once
        )

    def _subjects_of_templates(self, location: GalleryLocation, subject_ids: Sequence[str]) -> dict[str, str]:
        """Return the ids of the templates of some subjects, with those of their subjects."""
        found: dict[str, str] = {}
        for start in range(0, len(subject_ids), _SUBJECTS_AT_ONCE):
            theirs = f"subject in {quoted_all(subject_ids[start : start + _SUBJECTS_AT_ONCE])}"
            where = f"{self._expiry.templates(location)} and {theirs}"
            for collection in location.listed:
                for rows in self._milvus.pages(collection, where, ("subject",)):
                    found |= {id_of(row): row["subject"] for row in rows}
        return found

    def _crops(self, ids: Sequence[str]) -> dict[str, bytes]:
        crops: dict[str, bytes] = {}
        collection = self._collections.find("crops") if ids else None
        if collection is not None:
            for start in range(0, len(ids), _CROPS_AT_ONCE):
                rows = self._milvus.get(collection, ids[start : start + _CROPS_AT_ONCE], ("png",))
                crops |= {key: crop_of(row) for key, row in rows.items()}
        return crops


def embedded(rows: Sequence[Row], names: Mapping[str, str]) -> EmbeddedTemplates:
    """Return the templates of rows, with the names of their subjects."""
    if not rows:
        return NO_TEMPLATES
    return EmbeddedTemplates(
        [row["subject"] for row in rows],
        [names[row["subject"]] for row in rows],
        [id_of(row) for row in rows],
        np.array([row[VECTOR] for row in rows], np.float32),
    )


def _vector(rows: dict[str, Row], key: str) -> NDArray[np.float32] | None:
    row = rows.get(key, {})
    return np.array(row[VECTOR], np.float32) if VECTOR in row else None
