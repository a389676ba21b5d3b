"""Finds the rows of a gallery in Milvus."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gallery.errors import GalleryNotFound
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.expiry import ExpiryFilter
from gallery.stores.milvus.gallery_location import GalleryLocation
from gallery.stores.milvus.schema import Collections
from gallery.times import Clock

_SUBJECTS_AT_ONCE = 200
CACHE_SECONDS = 1.0
"""How long a search uses a gallery's location and template count before it reads them again."""


@dataclass(frozen=True, slots=True)
class _Cached:
    location: GalleryLocation
    templates: int
    until: float


class GalleryLocator:
    """Finds galleries.

    Args:
        milvus: the connection.
        collections: its collections.
        clock: tells what has expired.

    Attributes:
        expiry: tells the living from the expired.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections, clock: Clock) -> None:
        self._milvus = milvus
        self._collections = collections
        self.expiry = ExpiryFilter(collections, clock)
        self._lock = threading.Lock()
        self._cache: dict[str, _Cached] = {}
        self._unchanged: dict[str, object] = {}

    def find(self, gallery_id: str, *, strong: bool = False) -> GalleryLocation:
        """Find a gallery.

        Raises:
            GalleryNotFound: it does not exist.
        """
        where = f"id == {quoted(gallery_id)}"
        rows = self._milvus.query(
            self._collections.galleries, where, ("id", *self._collections.gallery_fields), strong=strong
        )
        # The row with an empty id is the schema's version.
        if not gallery_id or not rows:
            raise GalleryNotFound(gallery_id)
        return self.of(rows[0])

    def of(self, row: Row) -> GalleryLocation:
        """Return the location of a gallery's row."""
        return GalleryLocation(row, row["gallery"], self._collections.find_templates(row["contract"]))

    def count_templates(self, location: GalleryLocation) -> int:
        """Count the templates of a gallery that have not expired."""
        if not location.templates:
            return 0
        living = self.expiry.templates(location)
        count = self._milvus.count(location.templates, living)
        if self._collections.has_expiry:
            expired = self._milvus.query(
                self._collections.subjects, self.expiry.expired_subjects(location), ("subject",)
            )
            count -= self.count_templates_of(location, [row["subject"] for row in expired], living)
        return count

    def count_templates_of(self, location: GalleryLocation, subject_ids: Sequence[str], where: str) -> int:
        """Count the templates of some subjects that match an expression."""
        return sum(
            self._milvus.count(
                str(location.templates),
                f"{where} and subject in {quoted_all(subject_ids[start : start + _SUBJECTS_AT_ONCE])}",
            )
            for start in range(0, len(subject_ids), _SUBJECTS_AT_ONCE)
        )

    def count_subjects(self, location: GalleryLocation, *, strong: bool = False) -> int:
        """Count the subjects of a gallery that have not expired."""
        return self._milvus.count(self._collections.subjects, self.expiry.subjects(location), strong=strong)

    def cached(self, gallery_id: str) -> tuple[GalleryLocation, int]:
        """Return a gallery's location and template count, which may be cached.

        They include changes of this process at once, and changes of others after :data:`CACHE_SECONDS`.

        Raises:
            GalleryNotFound: it does not exist.
        """
        cached = self._cache.get(gallery_id)
        if cached is None or time.monotonic() >= cached.until:
            until = time.monotonic() + CACHE_SECONDS
            with self._lock:
                self._cache.pop(gallery_id, None)
                unchanged = self._unchanged.setdefault(gallery_id, object())
            location = self.find(gallery_id)
            cached = _Cached(location, self.count_templates(location), until)
            with self._lock:
                # If the gallery changed while it was read, the change may be missing: do not cache it.
                if self._unchanged.get(gallery_id) is unchanged:
                    self._cache[gallery_id] = cached
        return cached.location, cached.templates

    def invalidate(self, gallery_id: str) -> None:
        """Forget a gallery that this process has created, changed or deleted."""
        with self._lock:
            self._cache.pop(gallery_id, None)
            self._unchanged.pop(gallery_id, None)
