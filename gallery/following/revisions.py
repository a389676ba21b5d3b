"""The revisions of galleries as clients carry them: who has enrolled through one server is found through another."""

from __future__ import annotations

import math
import re

from gallery.errors import InvalidRevision, RevisionNotFound
from gallery.following.follower import Follower
from gallery.opened.open_gallery import OpenGallery
from gallery.opened.registry import GalleryRegistry
from gallery.times import to_microseconds

_REVISION = re.compile("(-?[0-9a-f]{1,16})[.]([0-9a-f]{1,16})[.]([0-9a-f]{0,32})")
"""When the gallery was created, the number of the revision, and its token, all hexadecimal."""
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
        or if the gallery is not open. It asks no store: a change that was stored is not in doubt because of it.
        """
        opened = self._registry.known(gallery_id)
        if opened is None or math.isfinite(opened.fresh_until):
            return ""
        reached = opened.stored_revision
        return f"{to_microseconds(opened.create_time):x}.{reached.number:x}.{reached.token.replace('-', '')}"

    def reach(self, gallery_id: str, revision: str) -> None:
        """Bring a gallery to a revision, so that the next search notices everything up to it.

        A revision that the store has lost is noticed until as many changes were made since that a later one has a
        higher number.

        Args:
            gallery_id: the gallery.
            revision: what :meth:`current` has returned, here or in another process with this store.

        Raises:
            GalleryNotFound: the gallery does not exist.
            InvalidRevision: it is not a revision.
            RevisionNotFound: the store has lost it.
            StorageError: the store cannot be read.
        """
        wanted = _parsed(revision)
        for _ in range(_TRIES):
            opened = self._registry.find(gallery_id)
            if self._follower is None or _has(opened, *wanted):
                return
            self._follower.catch_up(opened)
        if not _has(self._registry.find(gallery_id), *wanted):
            raise RevisionNotFound(gallery_id)


def _has(opened: OpenGallery, created: int, number: int, token: str) -> bool:
    """Tell whether a gallery has reached a revision; one that has replaced the gallery of the revision has."""
    age, reached = to_microseconds(opened.create_time), opened.stored_revision
    if age != created:
        return age > created
    return reached.number > number or (reached.number == number and reached.token.replace("-", "") == token)


def _parsed(revision: str) -> tuple[int, int, str]:
    found = _REVISION.fullmatch(revision)
    if found is None:
        raise InvalidRevision
    created, number, token = found.groups()
    return int(created, 16), int(number, 16), token
