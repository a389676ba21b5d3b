"""Moves templates from one subject to another in Milvus."""

from __future__ import annotations

from collections.abc import Sequence

from gallery.records.changes import MovedTemplate
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted_all
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.removal import remove_templates
from gallery.stores.milvus.rows import expires, row_id
from gallery.stores.milvus.schema import VECTOR, Collections, with_no_vector

_AT_ONCE = 100


class TemplateMover:
    """Copies templates to another subject under new ids, and removes the old ones; it may be repeated.

    Args:
        milvus: the connection.
        collections: its collections.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections

    def move(self, location: GalleryLocation, moved: Sequence[MovedTemplate], into_subject_id: str) -> None:
        """Move templates with their crops and requests."""
        for start in range(0, len(moved), _AT_ONCE):
            self._move(location, moved[start : start + _AT_ONCE], into_subject_id)

    def _move(self, location: GalleryLocation, moved: Sequence[MovedTemplate], into_subject_id: str) -> None:
        keys = {
            row_id(location.key, each.template_id): (row_id(location.key, each.new_id), each.expire_time)
            for each in moved
        }
        rows = {each: self._rows(each, list(keys)) for each in location.stored}
        found = {key for some in rows.values() for key in some}
        self._copy_crops({key: new for key, (new, _) in keys.items() if key in found})
        self._copy_requests({key: new for key, (new, _) in keys.items() if key in found})
        for collection, some in rows.items():
            there = self._milvus.get(collection, [new for new, _ in keys.values()], (), strong=True)
            copies = []
            for key, row in some.items():
                new, expire_time = keys[key]
                if new not in there:
                    values = row | {"id": new, "subject": into_subject_id}
                    if "expires" in values:
                        values["expires"] = expires(expire_time)
                    copies.append(values)
            self._milvus.insert(collection, copies)
        remove_templates(self._milvus, self._collections, location, sorted(found))

    def _rows(self, collection: str, keys: Sequence[str]) -> dict[str, Row]:
        """Return the rows of templates, to insert them anew."""
        fields = ("id", *self._collections.fields("templates"), VECTOR)
        rows = self._milvus.get(collection, keys, fields[1:], strong=True)
        return {key: {field: row[field] for field in fields} for key, row in rows.items()}

    def _copy_crops(self, new_keys: dict[str, str]) -> None:
        if crops := self._collections.find("crops"):
            found = self._milvus.get(crops, list(new_keys), ("gallery", "png"), strong=True)
            copies = [{**row, "id": new_keys[key]} for key, row in found.items()]
            self._milvus.upsert(crops, [with_no_vector(row) for row in copies])

    def _copy_requests(self, new_keys: dict[str, str]) -> None:
        if requests := self._collections.find("requests"):
            answered = f"template in {quoted_all(list(new_keys))}"
            found = self._milvus.query(requests, answered, ("id", "gallery", "template", "digest"), strong=True)
            self._milvus.upsert(
                requests, [with_no_vector({**row, "template": new_keys[row["template"]]}) for row in found]
            )
