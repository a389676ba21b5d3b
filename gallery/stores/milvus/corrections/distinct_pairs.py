"""Pairs of subjects that were told apart, in Milvus."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from gallery.errors import TooManyDistinctPairs
from gallery.records.distinct_pairs import Pair
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted
from gallery.stores.milvus.faces import FaceReader
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.rows import row_id
from gallery.stores.milvus.schema import Collections, with_no_vector

_KIND = "distinct_pairs"


class DistinctRows:
    """Reads and writes the pairs; their collection is created with the first one.

    Args:
        milvus: the connection.
        collections: its collections.
        faces: tells which subjects exist and have not expired.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections, faces: FaceReader) -> None:
        self._milvus = milvus
        self._collections = collections
        self._faces = faces

    def pairs(self, location: GalleryLocation) -> frozenset[Pair]:
        """Return the pairs of a gallery whose subjects exist and have not expired."""
        collection = self._collections.find(_KIND)
        if collection is None:
            return frozenset()
        found = [
            (row["one"], row["other"])
            for page in self._milvus.pages(collection, location.filter, ("one", "other"))
            for row in page
        ]
        living = self._faces.names(location, {subject_id for pair in found for subject_id in pair})
        return frozenset((one, other) for one, other in found if one in living and other in living)

    def add(self, location: GalleryLocation, pair: Pair, *, limit: int) -> None:
        """Store a pair.

        Raises:
            TooManyDistinctPairs: the gallery has ``limit`` pairs.
        """
        collection = self._collections.ensure(_KIND)
        key = _row_id(location.key, pair)
        if self._milvus.get(collection, [key], (), strong=True):
            return
        if self._milvus.count(collection, location.filter, strong=True) >= limit:
            raise TooManyDistinctPairs(location.row["id"], limit)
        self._milvus.upsert(collection, [pair_row(location.key, pair)])

    def remove(self, location: GalleryLocation, pair: Pair) -> None:
        """Delete a pair; does nothing if there is none."""
        if collection := self._collections.find(_KIND):
            self._milvus.delete(collection, [_row_id(location.key, pair)])

    def replace(self, location: GalleryLocation, *, added: Sequence[Pair], removed: Sequence[Pair]) -> None:
        """Store some pairs, those of missing subjects left out, and delete others."""
        living = self._faces.names(location, {subject_id for pair in added for subject_id in pair}, strong=True)
        rows = [pair_row(location.key, pair) for pair in added if living.keys() >= set(pair)]
        if rows:
            self._milvus.upsert(self._collections.ensure(_KIND), rows)
        if removed and (collection := self._collections.find(_KIND)):
            self._milvus.delete(collection, [_row_id(location.key, pair) for pair in removed])

    def remove_subject(self, location: GalleryLocation, subject_id: str) -> None:
        """Delete the pairs of a subject."""
        if collection := self._collections.find(_KIND):
            where = f"{location.filter} and (one == {quoted(subject_id)} or other == {quoted(subject_id)})"
            rows = self._milvus.query(collection, where, ("id",), strong=True)
            self._milvus.delete(collection, [row["id"] for row in rows])


def pair_row(gallery_key: int, pair: Pair) -> Row:
    """Make the row of a pair of the gallery with a key."""
    one, other = pair
    return with_no_vector({"id": _row_id(gallery_key, pair), "gallery": gallery_key, "one": one, "other": other})


def _row_id(gallery_key: int, pair: Pair) -> str:
    """Two ids are longer than the id of a row may be."""
    return row_id(gallery_key, hashlib.sha256("\0".join(pair).encode()).hexdigest())
