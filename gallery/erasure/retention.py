"""Erases what has expired from memory, from the store, and from its files."""

from __future__ import annotations

from collections.abc import Callable

from gallery.errors import GalleryNotFound, StorageError, StorageFull
from gallery.opened.open_gallery import OpenGallery
from gallery.opened.registry import GalleryRegistry
from gallery.records.expired import Expired
from gallery.stores.base import Store

_AT_ONCE = 200
"""Subjects, and templates, that one transaction deletes."""
_GALLERIES_PER_PAGE = 1000


NoteErased = Callable[[str, Expired], None]
"""Told the gallery and what was deleted from it. It must not raise."""


class Retention:
    """Erases what has expired, and what undoes old corrections.

    No answer depends on when that happens: what has expired is in none from that moment.

    If the process dies, what was not deleted is still expired, and the next run deletes it. What was deleted but not
    yet erased from the files is erased when the store is opened again.

    Args:
        store: the store.
        registry: the open galleries.

    Attributes:
        note: told about everything that is deleted; may be replaced.
    """

    def __init__(self, store: Store, registry: GalleryRegistry) -> None:
        self._store = store
        self._registry = registry
        self.note: NoteErased = _no_note

    def erase(self, check: Callable[[], None] = lambda: None) -> int:
        """Erase what has expired in all galleries, and return how many subjects and templates that were.

        A gallery whose rows cannot be deleted does not keep the others from being erased.

        Args:
            check: called between transactions; an exception from it ends the run.

        Raises:
            StorageError: something could not be deleted, or its traces could not be erased; the next run tries again.
        """
        erased, failure = 0, None
        for gallery_id in self._gallery_ids():
            try:
                erased += self._erase(gallery_id, check)
                self._store.changes.erase_old(gallery_id, until=self._registry.clock())
            except GalleryNotFound:
                continue
            except StorageError as error:
                failure = error
        self._store.scrub()
        if failure is not None:
            raise failure
        return erased

    def erase_held(self, gallery: OpenGallery) -> None:
        """Delete what has expired in a gallery that the caller holds for a change; its traces stay until a scrub."""
        while self._delete_some(gallery, _AT_ONCE):
            pass

    def waiting(self) -> int:
        """Count the subjects, and templates of other subjects, that have expired and are still stored.

        At most some hundred of each gallery are counted.
        """
        return sum(_size(self._store.expired(each, limit=_AT_ONCE)) for each in self._gallery_ids())

    def _gallery_ids(self) -> list[str]:
        found: list[str] = []
        while page := self._store.galleries(after=found[-1] if found else "", limit=_GALLERIES_PER_PAGE):
            found += [gallery.gallery_id for gallery in page]
        return found

    def _erase(self, gallery_id: str, check: Callable[[], None]) -> int:
        erased, at_once = 0, _AT_ONCE
        while self._store.expired(gallery_id, limit=1):
            check()
            try:
                # Enrolments and other changes take their turns between the transactions.
                with self._registry.changing(gallery_id) as gallery:
                    erased += self._delete_some(gallery, at_once)
            except StorageFull:
                # Deleted rows need room in the log only, which is emptied by a scrub.
                if at_once == 1:
                    raise
                at_once = max(1, at_once // 8)
                self._store.scrub()
        return erased

    def _delete_some(self, gallery: OpenGallery, at_once: int) -> int:
        expired = self._store.expired(gallery.gallery_id, limit=at_once)
        if expired:
            gallery.forget(expired)
            self._store.delete_expired(gallery.gallery_id, expired)
            self.note(gallery.gallery_id, expired)
        return _size(expired)


def _no_note(*_: object) -> None:
    """Take no note."""


def _size(expired: Expired) -> int:
    return len(expired.subject_ids) + len(expired.templates)
