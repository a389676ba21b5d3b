"""Where the rows of a gallery are in a Milvus."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from gallery.errors import GalleryNotFound
from gallery.stores.milvus.connection import Milvus, Row, quoted
from gallery.stores.milvus.rows import GALLERY_FIELDS
from gallery.stores.milvus.schema import Collections

RECENT_SECONDS = 1.0
"""How old what a search knows of its gallery may be: where it is, and how many templates it has."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gallery is.

    Attributes:
        row: the gallery's own.
        key: what its rows have as their gallery.
        templates: the collection of its templates; ``None`` where there is none yet.
    """

    row: Row
    key: int
    templates: str | None

    @property
    def here(self) -> str:
        """Holds of the gallery's rows."""
        return f"gallery == {self.key}"


@dataclass(frozen=True, slots=True)
class _Recent:
    place: Place
    templates: int
    until: float


class Places:
    """Finds galleries."""

    def __init__(self, milvus: Milvus, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections
        self._lock = threading.Lock()
        self._recent: dict[str, _Recent] = {}
        self._unchanged: dict[str, object] = {}

    def find(self, gallery_id: str, *, strong: bool = False) -> Place:
        """Where a gallery is.

        Raises:
            GalleryNotFound: there is none.
        """
        where = f"id == {quoted(gallery_id)}"
        rows = self._milvus.read(self._collections.galleries, where, ("id", *GALLERY_FIELDS), strong=strong)
        # The row without an id is not a gallery's.
        if not gallery_id or not rows:
            raise GalleryNotFound(gallery_id)
        return self.of(rows[0])

    def of(self, row: Row) -> Place:
        """Where the gallery of a row is."""
        return Place(row, row["gallery"], self._collections.templates_found(row["contract"]))

    def templates(self, place: Place) -> int:
        """How many templates a gallery has."""
        return self._milvus.count(place.templates, place.here) if place.templates else 0

    def subjects(self, place: Place, *, strong: bool = False) -> int:
        """How many subjects a gallery has."""
        return self._milvus.count(self._collections.subjects, place.here, strong=strong)

    def recent(self, gallery_id: str) -> tuple[Place, int]:
        """Where a gallery is and how many templates it has, as it was lately.

        What this process changed it sees at once, what others changed after :data:`RECENT_SECONDS`.

        Raises:
            GalleryNotFound: there is none.
        """
        recent = self._recent.get(gallery_id)
        if recent is None or time.monotonic() >= recent.until:
            until = time.monotonic() + RECENT_SECONDS
            with self._lock:
                self._recent.pop(gallery_id, None)
                unchanged = self._unchanged.setdefault(gallery_id, object())
            place = self.find(gallery_id)
            recent = _Recent(place, self.templates(place), until)
            with self._lock:
                # What was changed while it was read may not be in it, and is for who asks later.
                if self._unchanged.get(gallery_id) is unchanged:
                    self._recent[gallery_id] = recent
        return recent.place, recent.templates

    def changed(self, gallery_id: str) -> None:
        """Take note that this process changed a gallery, made it or deleted it."""
        with self._lock:
            self._recent.pop(gallery_id, None)
            self._unchanged.pop(gallery_id, None)
