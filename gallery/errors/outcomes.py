"""Errors about what clients say about answers."""

from __future__ import annotations

from gallery.errors.base import GalleryError


class OutcomesNotStored(GalleryError):
    """The store does not keep outcomes."""

    kind, reason = "precondition", "OUTCOMES_NOT_STORED"

    def __init__(self) -> None:
        super().__init__("galleries in Milvus keep no outcomes of answers: only the SQLite store does")
