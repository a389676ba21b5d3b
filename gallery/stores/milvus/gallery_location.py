"""Where the rows of a gallery are in Milvus."""

from __future__ import annotations

from dataclasses import dataclass

from gallery.stores.milvus.connection import Row


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
