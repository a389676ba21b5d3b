"""The revisions of galleries as clients carry them: who has enrolled through one server is found through another."""

from __future__ import annotations

import math

from gallery.errors import GalleryNotFound, InvalidRevision, RevisionNotFound, StorageError
from gallery.following.follower import Follower
from gallery.open_gallery import OpenGallery
from gallery.registry import GalleryRegistry
from gallery.times import to_microseconds

_TRIES = 2
"""The second one is for a gallery that another server has replaced."""


class Revisions:
    """Tells clients how far a gallery has changed, and brings it as far as a client has seen it at another server.

    Args:
        registry: the open galleries.
        follower: follows what other servers write; ``None`` if no other process writes to the store, or the store keeps
            the indexes.
    """

    def __init__(self, registry: GalleryRegistry, follower: Follower | None) -> None:
        self._registry = registry
        self._follower = follower

    def current(self, gallery_id: str) -> str:
        """Return the revision that searches of a gallery have reached, for :meth:`reach`.

        It is empty if they cannot be brought to a revision, because the store keeps the index and others write to it,
        if the gallery is gone, or if the store cannot be read: the change that was stored is not in doubt then.
        """
        try:
            opened = self._registry.find(gallery_id)
        except (GalleryNotFound, StorageError):
            return ""
        if math.isfinite(opened.fresh_until):
            return ""
        return f"{to_microseconds(opened.create_time):x}.{opened.stored_revision.number:x}"

    def reach(self, gallery_id: str, revision: str) -> None:
        """Bring a gallery to a revision, so that the next search notices everything up to it.

        Args:
            gallery_id: the gallery.
            revision: what :meth:`current` has returned, here or in another process with this store.

        Raises:
            GalleryNotFound: the gallery does not exist.
            InvalidRevision: it is not a revision.
            RevisionNotFound: the store has lost it.
            StorageError: the store cannot be read.
        """
        created, number = _parsed(revision)
        for _ in range(_TRIES):
            opened = self._registry.find(gallery_id)
            if self._follower is None or _has(opened, created, number):
                return
            self._follower.catch_up(opened)
        if not _has(self._registry.find(gallery_id), created, number):
            raise RevisionNotFound(gallery_id)


def _has(opened: OpenGallery, created: int, number: int) -> bool:
    """Tell whether a gallery has reached a revision; one that has replaced the gallery of the revision has."""
    age = to_microseconds(opened.create_time)
    return age > created or (age == created and opened.stored_revision.number >= number)


def _parsed(revision: str) -> tuple[int, int]:
    created, _, number = revision.partition(".")
    try:
        return int(created, 16), int(number, 16)
    except ValueError:
        raise InvalidRevision from None
