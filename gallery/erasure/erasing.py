"""A change of a gallery that erases something from the store's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gallery.errors import StorageError
from gallery.opened.open_gallery import OpenGallery
from gallery.opened.registry import GalleryRegistry
from gallery.stores.base import Store


@contextmanager
def erasing(store: Store, registry: GalleryRegistry, gallery_id: str) -> Iterator[OpenGallery]:
    """Hold a gallery for a change, and erase the traces of what it deletes.

    Raises:
        GalleryNotFound: it does not exist.
        StorageError: the traces cannot be erased now; with ``change_was_made``.
    """
    try:
        with registry.changing(gallery_id) as opened:
            yield opened
    except BaseException:
        # Erase what an earlier call could not, but tell the caller about this one.
        with suppress(StorageError):
            store.scrub()
        raise
    # Other changes of the gallery do not wait for this: a backup can delay it.
    try:
        store.scrub()
    except StorageError as error:
        error.change_was_made = True
        raise
