"""Templates of a Milvus with all that belongs to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from gallery.records.records import EmbeddedTemplates, StoredFace, Subject
from gallery.stores.milvus.connection import Milvus, Row, quoted, quoted_all
from gallery.stores.milvus.places import Place
from gallery.stores.milvus.rows import SUBJECT_FIELDS, TEMPLATE_FIELDS, crop_of, id_of, row_id, subject_of, template_of
from gallery.stores.milvus.schema import VECTOR, Collections

_SUBJECTS_AT_ONCE = 200
_CROPS_AT_ONCE = 200


class FaceReader:
    """Reads subjects with their templates."""

    def __init__(self, milvus: Milvus, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections

    def subjects(self, place: Place, gallery_id: str, *, after: str, limit: int) -> list[Subject]:
        """The subjects of a gallery after one, by id."""
        where = f"{place.here} and id > {quoted(row_id(place.key, after))}"
        rows = self._milvus.first(self._collections.subjects, where, SUBJECT_FIELDS, limit=limit)
        counts = Counter(row["subject"] for row in self._template_ids(place, [row["subject"] for row in rows]))
        return [subject_of(row, gallery_id, templates=counts[row["subject"]]) for row in rows]

    def faces(self, place: Place, gallery_id: str, *, after: tuple[str, str], limit: int) -> list[StoredFace]:
        """The subjects of a gallery with their templates, by subject id, then template id."""
        found: list[tuple[Row, str]] = []
        for subjects in self._subjects_from(place, after[0], at_once=min(limit, _SUBJECTS_AT_ONCE)):
            templates: dict[str, list[str]] = {row["subject"]: [] for row in subjects}
            for row in self._template_ids(place, list(templates)):
                templates[row["subject"]].append(id_of(row))
            lines = ((row, each) for row in subjects for each in sorted(templates[row["subject"]]) or [""])
            found += [(row, each) for row, each in lines if (row["subject"], each) > after]
            if len(found) >= limit:
                break
        return self._whole(place, gallery_id, found[:limit])

    def embedded_templates(self, place: Place, *, after: str, limit: int) -> EmbeddedTemplates:
        """The templates of a gallery after one, by id."""
        while place.templates is not None:
            where = f"{place.here} and id > {quoted(row_id(place.key, after))}"
            rows = self._milvus.first(place.templates, where, ("subject", VECTOR), limit=limit)
            if not rows:
                break
            names = self.names(place, {row["subject"] for row in rows})
            after = id_of(rows[-1])
            if rows := [row for row in rows if row["subject"] in names]:
                subject_ids = [row["subject"] for row in rows]
                return EmbeddedTemplates(
                    subject_ids,
                    [names[subject_id] for subject_id in subject_ids],
                    [id_of(row) for row in rows],
                    np.array([row[VECTOR] for row in rows], np.float32),
                )
        return EmbeddedTemplates((), (), (), np.empty((0, 0), np.float32))

    def names(self, place: Place, subject_ids: set[str], *, strong: bool = False) -> dict[str, str]:
        """The display names of those subjects that there are."""
        keys = [row_id(place.key, subject_id) for subject_id in sorted(subject_ids)]
        rows = self._milvus.by_id(self._collections.subjects, keys, ("subject", "display_name"), strong=strong)
        return {row["subject"]: row["display_name"] for row in rows.values()}

    def _subjects_from(self, place: Place, first: str, *, at_once: int) -> Iterator[list[Row]]:
        beyond = f"id >= {quoted(row_id(place.key, first))}"
        where = f"{place.here} and {beyond}"
        return self._milvus.all(self._collections.subjects, where, SUBJECT_FIELDS, at_once=at_once)

    def _template_ids(self, place: Place, subject_ids: Sequence[str]) -> Iterator[Row]:
        if place.templates is None:
            return
        for start in range(0, len(subject_ids), _SUBJECTS_AT_ONCE):
            theirs = f"subject in {quoted_all(subject_ids[start : start + _SUBJECTS_AT_ONCE])}"
            for rows in self._milvus.all(place.templates, f"{place.here} and {theirs}", ("subject",)):
                yield from rows

    def _whole(self, place: Place, gallery_id: str, lines: Sequence[tuple[Row, str]]) -> list[StoredFace]:
        ids = [row_id(place.key, template_id) for _, template_id in lines if template_id]
        rows = self._milvus.by_id(place.templates, ids, (*TEMPLATE_FIELDS, VECTOR)) if place.templates else {}
        crops = self._crops([each for each, row in rows.items() if row["has_crop"]])
        faces = []
        for subject_row, template_id in lines:
            subject = subject_of(subject_row, gallery_id, templates=0)
            key = row_id(place.key, template_id)
            if not template_id:
                faces.append(StoredFace(subject, None, None, None))
            elif row := rows.get(key):
                embedding = np.array(row[VECTOR], np.float32)
                faces.append(StoredFace(subject, template_of(row, gallery_id), embedding, crops.get(key)))
        return faces

    def _crops(self, ids: Sequence[str]) -> dict[str, bytes]:
        crops: dict[str, bytes] = {}
        collection = self._collections.found("crops") if ids else None
        if collection is not None:
            for start in range(0, len(ids), _CROPS_AT_ONCE):
                rows = self._milvus.by_id(collection, ids[start : start + _CROPS_AT_ONCE], ("png",))
                crops |= {key: crop_of(row) for key, row in rows.items()}
        return crops
