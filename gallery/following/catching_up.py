"""Brings the indexes of one gallery to what the store has now."""

from __future__ import annotations

import numpy as np

from gallery.errors import GalleryNotFound
from gallery.index.memory_index import MemoryIndex
from gallery.opened.open_gallery import OpenGallery
from gallery.opened.registry import GalleryRegistry
from gallery.records.distinct_pairs import DistinctPairs
from gallery.records.templates import EmbeddedTemplates
from gallery.stores.feed import ChangeFeed, ChangesForgotten, GalleryChanges

_NONE = EmbeddedTemplates((), (), (), np.empty((0, 0), np.float32))


def catch_up(registry: GalleryRegistry, feed: ChangeFeed, opened: OpenGallery) -> None:
    """Apply to an open gallery what has changed in the store since its revision.

    Subjects are read as they are now, not as they were when they changed, so the same change may be applied twice.

    Args:
        registry: the open galleries.
        feed: tells what has changed.
        opened: the gallery; the caller holds its ``change_lock``.

    Raises:
        GalleryNotFound: it was deleted, or replaced by another one of its id.
        StorageError: the store cannot be read.
    """
    try:
        follow_changes(registry, feed, opened)
    except ChangesForgotten:
        registry.reload(opened)


def follow_changes(registry: GalleryRegistry, feed: ChangeFeed, opened: OpenGallery) -> None:
    """Apply what has changed, as :func:`catch_up` does, but do not load the gallery.

    Raises:
        ChangesForgotten: it must be loaded anew.
        GalleryNotFound: it was deleted, or replaced by another one of its id.
        StorageError: the store cannot be read.
    """
    changes = feed.changes(opened.gallery_id, after=opened.stored_revision)
    if changes is not None and changes.create_time != opened.create_time:
        raise GalleryNotFound(opened.gallery_id)
    if changes is not None:
        _apply(registry, opened, changes)


def restore_emptied(feed: ChangeFeed, opened: OpenGallery) -> None:
    """Read again the subjects whose rows another process has erased in a file that both of them use.

    Args:
        feed: tells what the store has.
        opened: the gallery; the caller holds its ``change_lock``.

    Raises:
        GalleryNotFound: it was deleted.
        StorageError: the store cannot be read.
    """
    for contract, index in opened.indexes.items():
        if isinstance(index, MemoryIndex) and index.key is not None and (emptied := index.emptied_subjects()):
            with opened.expiry_lock:
                index.replace_subjects(emptied, feed.of_subjects(opened.gallery_id, emptied, contract=contract))
            opened.changes += 1
            opened.recent.note_anything()


def _apply(registry: GalleryRegistry, opened: OpenGallery, changes: GalleryChanges) -> None:
    before = opened.settings.policy
    policy = before if changes.gallery is None else changes.gallery.policy
    if opened.has_left_unasked and policy.keeps_longer_than(before):
        raise ChangesForgotten  # who has left by the policy before may be there by this one
    # Whoever is removing what has expired by an older list of it must not remove somebody who was enrolled again.
    with opened.expiry_lock:
        if changes.subject_ids:
            for contract, index in opened.indexes.items():
                index.replace_subjects(changes.subject_ids, changes.templates.get(contract, _NONE))
            opened.recent.note_gone(changes.subject_ids)
            opened.recent.note(changes.subject_ids, changes.templates)
            opened.coming.replace(changes.subject_ids, changes.expiries)
    if changes.distinct is not None:
        opened.distinct = DistinctPairs(changes.distinct)
    if changes.gallery is not None:
        registry.show(opened, changes.gallery)
        if policy != before:
            registry.drop_expired(opened, anew=True)
    opened.stored_revision = changes.revision
    opened.changes += 1
    gone = changes.subject_ids - changes.living
    if gone:
        opened.on_gone(opened.gallery_id, gone)
