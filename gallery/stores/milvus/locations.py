"""Finds the rows of a gallery in Milvus."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from gallery.errors import GalleryNotFound
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted
from gallery.stores.milvus.schema import Collections

CACHE_SECONDS = 1.0
"""How long a search uses a gallery's location and template count before it reads them again."""


@dataclass(frozen=True, slots=True)
class GalleryLocation:
    """Where the rows of a gallery are.

    Attributes:
        row: the gallery's own row.
        key: the key that all its rows have.
        templates: the collection of its templates; ``None`` if it does not exist yet.
    """

    row: Row
    key: int
    templates: str | None

    @property
    def filter(self) -> str:
        """The expression that matches the gallery's rows."""
        return f"gallery == {self.key}"


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
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections
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
        """Count the templates of a gallery."""
        return self._milvus.count(location.templates, location.filter) if location.templates else 0

    def count_subjects(self, location: GalleryLocation, *, strong: bool = False) -> int:
        """Count the subjects of a gallery."""
        return self._milvus.count(self._collections.subjects, location.filter, strong=strong)

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
