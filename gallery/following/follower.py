"""Follows the store: what other servers write is found here a moment later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial

from gallery.errors import GalleryNotFound, StorageAway, StorageBusy, StorageError, StorageUnavailable
from gallery.following.catching_up import catch_up, follow_changes, restore_emptied
from gallery.log import SILENT, Log
from gallery.opened.open_gallery import OpenGallery
from gallery.opened.registry import GalleryRegistry
from gallery.stores.feed import ChangeFeed, ChangesForgotten, GalleryRevision, Hold

POLL_SECONDS = 1.0
"""How long it waits for word of a change before it looks for one."""

_BUSY_SECONDS = 0.02
"""How soon it looks again at a gallery that this server is changing."""
_RETRY_SECONDS = 0.5
"""How soon it tries again after the store failed."""
_PRUNE_SECONDS = 60.0
_CHANGE_SECONDS = 5.0
"""How long somebody who needs the latest revision waits for a change that is being made here."""


class Follower:
    """A thread that keeps the open galleries up to date with the store.

    While the store cannot be read, searches go on with what is in memory.

    Args:
        registry: the open galleries.
        feed: tells what has changed.
        log: told when following fails, and when it works again.
    """

    def __init__(self, registry: GalleryRegistry, feed: ChangeFeed, log: Log = SILENT) -> None:
        self._registry = registry
        self._feed = feed
        self._log = log
        self._is_closed = threading.Event()
        self._current_at = time.monotonic()
        self._restored_at = self._current_at
        self._failure: StorageError | None = None
        self._thread = threading.Thread(target=self._run, name="gallery-follower", daemon=True)
        registry.check_store = self._check_not_away
        registry.exclusively = partial(self._caught_up, feed.exclusive)
        registry.in_one_transaction = partial(self._caught_up, feed.one_transaction)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    @property
    def lag_seconds(self) -> float:
        """For how long something that another server wrote may be missing here, at most."""
        return time.monotonic() - self._current_at

    @property
    def failure(self) -> StorageError | None:
        """Why the store cannot be followed; ``None`` if it can."""
        return self._failure

    def follow(self) -> bool:
        """Apply what has changed up to now; return whether all of it was applied.

        A gallery that cannot be read does not keep the others from being followed.

        Raises:
            StorageError: the store, or a gallery of it, cannot be read.
        """
        is_current, failure = True, None
        before = self._registry.opened()
        revisions = self._feed.revisions()
        for gallery in before:
            stored_now = revisions.get(gallery.gallery_id)
            if stored_now is None or stored_now.create_time != gallery.create_time:
                self._registry.close(gallery)
        for gallery_id, stored in revisions.items():
            try:
                is_current &= self._follow(gallery_id, stored)
            except GalleryNotFound:
                continue  # the next look finds that out, too
            except StorageAway:
                raise
            except StorageError as error:
                failure = error
        if failure is not None:
            raise failure
        if time.monotonic() - self._restored_at >= POLL_SECONDS:
            self._restored_at = time.monotonic()
            self._restore()
        return is_current

    def _restore(self) -> None:
        """Restore what other processes have erased in shared files, unless the gallery is being changed here."""
        for opened in self._registry.opened():
            if opened.change_lock.acquire(blocking=False):
                try:
                    with suppress(GalleryNotFound):  # the next look finds that out, too
                        restore_emptied(self._feed, opened)
                finally:
                    opened.change_lock.release()

    def catch_up(self, opened: OpenGallery) -> None:
        """Bring a gallery up to date with the store now; one that was deleted or replaced is closed.

        Raises:
            StorageBusy: the gallery is being changed here for too long.
            StorageError: the store cannot be read.
        """
        self._check_not_away()
        if not opened.change_lock.acquire(timeout=_CHANGE_SECONDS):
            raise StorageBusy(f"gallery {opened.gallery_id!r} is being changed")
        try:
            catch_up(self._registry, self._feed, opened)
        except GalleryNotFound:
            self._registry.close(opened)
        finally:
            opened.change_lock.release()

    def close(self) -> None:
        """Stop to follow."""
        self._is_closed.set()
        self._feed.stop_waiting()
        if self._thread.is_alive():
            self._thread.join()
        self._feed.close()

    @contextmanager
    def _caught_up(self, holding: Callable[[str], AbstractContextManager[Hold]], opened: OpenGallery) -> Iterator[Hold]:
        """Keep other servers from changing a gallery, which is brought up to date first.

        So what is checked against the indexes, as look-alikes are, is checked against everything that is stored.

        Raises:
            GalleryNotFound: it was deleted, or replaced by another one of its id.
            StorageError: the store cannot be read, or another server holds the gallery for too long.
        """
        self._check_not_away()
        with ExitStack() as held:
            while True:
                hold = held.enter_context(holding(opened.gallery_id))
                try:
                    follow_changes(self._registry, self._feed, opened)
                    break
                except ChangesForgotten:
                    held.close()  # other servers change the gallery while it is loaded
                    self._registry.reload(opened)
            yield hold

    def _check_not_away(self) -> None:
        if isinstance(self._failure, StorageAway):
            # Whoever waits for a store that is away keeps a thread from searching.
            raise StorageAway(str(self._failure))

    def _follow(self, gallery_id: str, stored: GalleryRevision) -> bool:
        """Bring a gallery up to date, unless this server is changing it: whoever does has caught up first."""
        if self._registry.known(gallery_id) is None:
            self._registry.open(gallery_id)
        opened = self._registry.find(gallery_id)
        if opened.coming.is_low:
            self._registry.look_ahead(opened)
        if opened.stored_revision == stored.revision:
            return True
        if not opened.change_lock.acquire(blocking=False):
            return False
        try:
            catch_up(self._registry, self._feed, opened)
        finally:
            opened.change_lock.release()
        return True

    def _run(self) -> None:
        pruned_at = time.monotonic()
        has_failed = False
        while not self._is_closed.is_set():
            began = time.monotonic()
            try:
                is_current = self.follow()
                if is_current:
                    self._current_at = began
                self._note(None)
                has_failed = False
                if began - pruned_at > _PRUNE_SECONDS:
                    self._feed.prune()
                    pruned_at = began
                if is_current:
                    self._feed.wait(POLL_SECONDS)
                else:
                    self._is_closed.wait(_BUSY_SECONDS)
            except StorageError as error:
                if not has_failed:  # perhaps only its connection is broken, and the next one is not
                    has_failed = True
                    continue
                self._note(error)
                self._is_closed.wait(_RETRY_SECONDS)
            except MemoryError:  # what was not applied is applied again
                self._note(StorageUnavailable("there is not enough memory to follow the changes of other servers"))
                self._is_closed.wait(_RETRY_SECONDS)

    def _note(self, failure: StorageError | None) -> None:
        if (failure is None) != (self._failure is None) and not self._is_closed.is_set():
            if failure is None:
                self._log.info("the changes of other servers are followed again")
            else:
                self._log.error("the changes of other servers cannot be followed", reason=str(failure))
        self._failure = failure
