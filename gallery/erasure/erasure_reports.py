"""What was erased from galleries, for reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from gallery.errors import ErasuresNotRecorded
from gallery.pages import Page, last_id, page_of
from gallery.records.erasures import Erasure, MadeCopy
from gallery.stores.base import Store
from gallery.stores.logs import ErasureLog


class ErasureReports:
    """Reads the records of erasures.

    Args:
        store: where they are stored.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(
        self, gallery_id: str, subject_id: str, *, since: datetime, page_size: int, page_token: str = ""
    ) -> Page[Erasure]:
        """List records, the oldest first.

        Args:
            gallery_id: the gallery; empty for all, also deleted ones.
            subject_id: a subject of the gallery; empty for all.
            since: only erasures since then.
            page_size: at least 1.
            page_token: of the page before.

        Raises:
            ErasuresNotRecorded: the store keeps no records.
            InvalidPageToken: the token is not one of this list.
            StorageError: the store cannot be read.
        """
        scope = ("erasures", gallery_id, subject_id, since.isoformat())
        after = last_id(page_token, scope=scope)
        found = self._log.records(gallery_id, subject_id, since=since, after=after, limit=page_size + 1)
        return page_of(found, [each.erasure_id for each in found], page_size=page_size, scope=scope)

    def copies(self, gallery_id: str) -> Sequence[MadeCopy]:
        """List the known copies of a gallery, the newest first; empty for all galleries.

        Raises:
            ErasuresNotRecorded: the store keeps no records.
        """
        return [each for each in self._log.copies() if gallery_id in ("", each.gallery_id) or not each.gallery_id]

    def watch(self, note: Callable[[Erasure], None]) -> None:
        """Have a function told about each completed record, on any thread; it must not raise."""
        if self._store.erasures is not None:
            self._store.erasures.on_checked = note

    @property
    def _log(self) -> ErasureLog:
        if self._store.erasures is None:
            raise ErasuresNotRecorded
        return self._store.erasures
