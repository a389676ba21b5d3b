"""The open galleries of a server: what a search needs, without asking the store."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from types import MappingProxyType

from gallery.errors import ContractMismatch, GalleryNotFound, StorageBusy, StorageError, StorageUnavailable
from gallery.index.files.index_folder import IndexFolder
from gallery.index.files.segment_file import IndexKey
from gallery.index.memory_index import MemoryIndex
from gallery.index.protocol import Index
from gallery.opened.coming_expiries import AHEAD, UNKNOWN, ComingExpiries
from gallery.opened.mismatches import Mismatches
from gallery.opened.open_gallery import OpenGallery, SearchSettings
from gallery.opened.resuming import resume
from gallery.records.distinct_pairs import DistinctPairs
from gallery.records.galleries import Gallery
from gallery.records.migrations import Migration
from gallery.records.subjects import Subject
from gallery.records.templates import EmbeddedTemplates, Template
from gallery.search_pool import SearchPool
from gallery.stores.base import Store
from gallery.stores.feed import FIRST, Hold, Revision
from gallery.times import Clock, now, to_microseconds

REFRESH_SECONDS = 1.0
"""How long a gallery of a store that other processes write to is used before the store is asked again."""

OPEN_SECONDS = 5.0
"""How long somebody who needs a gallery that is not open waits for others that are being opened."""
_GALLERIES_PER_PAGE = 1000
_TEMPLATES_PER_PAGE = 1024
_ALL = sys.maxsize


class GalleryRegistry:
    """The open galleries: all of them if only this process writes to the store, else those used recently.

    Whoever finds a gallery here does not find in its index what had expired before.

    Args:
        store: the store.
        contract: the embedding contract of the server's model.
        dimension: values of an embedding.
        further: the contracts of further models of the server, with the dimensions of their embeddings.
        pool: the threads that search an index in memory.
        clock: tells what has expired; the store's.
        files: has what an earlier start has loaded; ``None`` for nothing.

    Raises:
        StorageError: the store cannot be read, or has embeddings of another dimension under this contract.

    Attributes:
        on_shown: told a gallery, and the settings that its searches go by from now on; ``None`` if it was closed.
        check_store: raises a storage error at once if the store is known to be away; for those who would wait for it.
        exclusively: keeps other processes from changing a gallery while this one does, and brings the gallery up to
            date with what they have changed before.
        in_one_transaction: the same, for reading and writing that belong together: they are one transaction.
        on_gone: told subjects that leave a gallery; see :class:`gallery.opened.open_gallery.OpenGallery`, also for what
            both must not do.
    """

    def __init__(
        self,
        store: Store,
        *,
        contract: str,
        dimension: int,
        pool: SearchPool,
        clock: Clock = now,
        further: Mapping[str, int] = MappingProxyType({}),
        files: IndexFolder | None = None,
    ) -> None:
        self._store = store
        self._files = files
        self._pool = pool
        self.clock = clock
        self.contract = contract
        self.dimension = dimension
        self.dimensions: Mapping[str, int] = {contract: dimension} | dict(further)
        """The contracts of the server's models, the first one first, with the dimensions of their embeddings."""
        self.mismatches = Mismatches(store, contract)
        self._galleries: dict[str, OpenGallery] = {}
        self.on_shown: Callable[[str, SearchSettings | None], None] = lambda _, __: None
        self.on_gone: Callable[[str, Collection[str]], None] = lambda _, __: None
        self.check_store: Callable[[], None] = lambda: None
        self.exclusively: Callable[[OpenGallery], AbstractContextManager[Hold]] = lambda _: nullcontext(Hold())
        self.in_one_transaction: Callable[[OpenGallery], AbstractContextManager[Hold]] = lambda _: nullcontext(Hold())
        self.create_lock = threading.Lock()
        """Held while a gallery is created or deleted, here and in the store."""
        after = ""
        while galleries := store.galleries(after=after, limit=_GALLERIES_PER_PAGE):
            for gallery in galleries:
                self.add(gallery)
            after = galleries[-1].gallery_id

    def find(self, gallery_id: str) -> OpenGallery:
        """Return an open gallery; asks the store only if other processes write to it, or to learn what expires.

        Raises:
            GalleryNotFound: it does not exist.
        """
        found = self._find(gallery_id)
        self._drop_due(found)
        return found

    def drop_expired(self, gallery: OpenGallery, *, anew: bool = False) -> None:
        """Remove from the indexes of a gallery what has expired.

        The store is asked what that is only if it is not known, and then also what expires next.

        Args:
            gallery: the gallery.
            anew: ask the store, because expiries have changed.

        Raises:
            GalleryNotFound: it was deleted.
            StorageError: the store cannot be read.
        """
        if not math.isinf(gallery.fresh_until):
            return  # there is no index, or the store keeps it, which leaves out what has expired
        with gallery.expiry_lock:
            if anew:  # should this fail, whoever uses the gallery next asks the store
                gallery.coming = ComingExpiries(UNKNOWN)
            moment = self.clock()
            is_known = gallery.coming.is_known(moment)
            # A change that is being made may give more time to what is due.
            if is_known and not gallery.change_lock.locked():
                self._drop_known(gallery, moment)
            else:
                try:
                    self._drop_stored(gallery)
                except StorageError:
                    if not is_known:
                        raise
                    self._drop_known(gallery, moment)
            gallery.expiries += 1

    def look_ahead(self, gallery: OpenGallery) -> None:
        """Ask the store what expires next in a gallery, before that must be known.

        Raises:
            GalleryNotFound: it was deleted.
            StorageError: the store cannot be read.
        """
        with gallery.expiry_lock:
            self._drop_stored(gallery)

    def note_expiry(self, gallery: OpenGallery, subject: Subject, template: Template | None = None) -> None:
        """Note when a subject expires, and a template that was added to it; the caller holds the ``expiry_lock``."""
        if math.isinf(gallery.fresh_until):
            policy = gallery.settings.policy
            gallery.coming.note(subject.subject_id, "", policy.subject_expiry(subject))
            if template is not None:
                gallery.coming.note(subject.subject_id, template.template_id, policy.template_expiry(template))

    def note_expiries(self, gallery: OpenGallery, *subject_ids: str) -> None:
        """Ask the store when subjects and their templates expire from now on; the caller has changed them.

        Raises:
            GalleryNotFound: the gallery was deleted.
            StorageError: the store cannot be read.
        """
        if not math.isinf(gallery.fresh_until):
            return
        with gallery.expiry_lock:
            gallery.coming.replace(subject_ids, self._store.expiries_of(gallery.gallery_id, subject_ids))

    def _drop_stored(self, gallery: OpenGallery) -> None:
        # Read first: what expires between the two is removed now or the next time.
        coming = self._coming(gallery.gallery_id)
        gallery.forget(self._store.expired(gallery.gallery_id, limit=_ALL))
        gallery.coming = coming

    def _drop_known(self, gallery: OpenGallery, moment: datetime) -> None:
        if due := gallery.coming.due(moment):  # nobody else has removed it just now
            gallery.forget(due)
            gallery.coming.forget_due(moment)
            gallery.has_left_unasked = True

    def _drop_due(self, gallery: OpenGallery) -> None:
        due = gallery.coming.next
        if due is not None and self.clock() >= due:
            self.drop_expired(gallery)

    def _coming(self, gallery_id: str) -> ComingExpiries:
        return ComingExpiries(self._store.expiries_ahead(gallery_id, limit=AHEAD))

    def _find(self, gallery_id: str) -> OpenGallery:
        found = self._galleries.get(gallery_id)
        if found is None:
            return self._opened_now(gallery_id)
        # One thread asks the store again; meanwhile the others use the gallery as it is.
        if time.monotonic() < found.fresh_until or not found.refresh_lock.acquire(blocking=False):
            return found
        try:
            return self._refreshed(found)
        finally:
            found.refresh_lock.release()

    def _opened_now(self, gallery_id: str) -> OpenGallery:
        self.check_store()
        if not self.create_lock.acquire(timeout=OPEN_SECONDS):
            raise StorageBusy("other galleries are being opened")
        try:
            found = self._galleries.get(gallery_id)
            if found is None:
                self.check_store()
                found = self.add(self._store.gallery(gallery_id))
            return found
        finally:
            self.create_lock.release()

    def search_contract(self, gallery_id: str) -> str:
        """Return the embedding contract by which a search of a gallery begins now.

        Raises:
            GalleryNotFound: it does not exist.
            ContractMismatch: the server has no model of it.
        """
        opened = self.find(gallery_id)
        contract = opened.settings.contract
        opened.index_for(contract)
        return contract

    def unserved(self) -> list[ContractMismatch]:
        """Tell which open galleries nothing can search, because the server has not loaded their model."""
        found = (
            self.unserved_error(each.gallery_id, each.settings.contract, each.settings.migration)
            for each in list(self._galleries.values())
        )
        return [error for error in found if error is not None]

    def unserved_error(self, gallery_id: str, contract: str, migration: Migration | None) -> ContractMismatch | None:
        """Return the error of every search of a gallery whose model is not loaded; ``None`` if it is."""
        if contract in self.dimensions:
            return None
        return self.mismatches.not_loaded(gallery_id, contract, migration, missing=contract)

    def is_open(self, gallery: OpenGallery) -> bool:
        """Tell whether a gallery was neither deleted nor replaced."""
        return self._galleries.get(gallery.gallery_id) is gallery

    @contextmanager
    def changing(self, gallery_id: str) -> Iterator[OpenGallery]:
        """Hold a gallery for one change; other changes of it wait.

        Raises:
            GalleryNotFound: it does not exist.
        """
        gallery = self.find(gallery_id)
        with gallery.change_lock:
            with self.exclusively(gallery) as hold:
                self._check_held(gallery)
                hold.expiries = gallery.expiries
                try:
                    yield gallery
                finally:
                    gallery.changes += 1
                    gallery.recent.note_anything()
            self.note_reached(gallery, hold)

    @contextmanager
    def storing(self, gallery: OpenGallery) -> Iterator[Hold]:
        """Hold a gallery while one enrolment is checked and stored; the caller holds its ``change_lock``.

        In a store that several processes write to, all of it is one transaction, which is durable afterwards. So the
        indexes get the new template only then, and :meth:`note_reached` the hold after them.

        Raises:
            GalleryNotFound: it was deleted.
            StorageError: the store cannot be used; nothing was stored.
        """
        with self.in_one_transaction(gallery) as hold:
            self._check_held(gallery)
            hold.expiries = gallery.expiries
            gallery.has_unshown = True  # also if the thread is interrupted after the store has committed
            try:
                yield hold
            except Exception:
                gallery.has_unshown = False
                raise

    def note_reached(self, gallery: OpenGallery, hold: Hold) -> None:
        """Note that the indexes have what was written under a hold that has ended; nobody else wrote meanwhile."""
        gallery.has_unshown = False
        if gallery.expiries != hold.expiries:
            # What expired here before the change was committed may have got more time by it: it is read again.
            with suppress(StorageError, GalleryNotFound), self.exclusively(gallery):
                pass
        elif hold.revision is not None:
            gallery.stored_revision = hold.revision

    def read_unshown(self, gallery: OpenGallery) -> None:
        """Load a gallery anew if its indexes may lack something stored; the caller holds its ``change_lock``.

        With a feed, the follower reads what they lack.

        Raises:
            GalleryNotFound: it was deleted.
            StorageError: the store cannot be read.
        """
        if gallery.has_unshown and self._store.feed is None:
            self.reload(gallery)
        gallery.has_unshown = False

    def _check_held(self, gallery: OpenGallery) -> None:
        if not self.is_open(gallery):
            raise GalleryNotFound(gallery.gallery_id)
        self.read_unshown(gallery)
        self._drop_due(gallery)

    def known(self, gallery_id: str) -> OpenGallery | None:
        """Return a gallery if it is open; asks no store."""
        return self._galleries.get(gallery_id)

    def opened(self) -> list[OpenGallery]:
        """Return the galleries that are open now."""
        return list(self._galleries.values())

    def open(self, gallery_id: str) -> None:
        """Open a gallery of the store, unless it is open.

        Raises:
            GalleryNotFound: it does not exist.
            StorageError: the store cannot be read.
        """
        with self.create_lock:
            if gallery_id not in self._galleries:
                self.add(self._store.gallery(gallery_id))

    def close(self, gallery: OpenGallery) -> None:
        """Close a gallery that another process has deleted or replaced."""
        with self.create_lock:
            if self.is_open(gallery):
                self.remove(gallery.gallery_id)

    def reload(self, opened: OpenGallery) -> None:
        """Load an open gallery anew; the caller holds its ``change_lock``.

        Raises:
            GalleryNotFound: it was deleted, or replaced by another one of its id.
            StorageError: the store cannot be read.
        """
        revision = self._stored_revision(opened.gallery_id)
        gallery = self._store.gallery(opened.gallery_id)
        if gallery.create_time != opened.create_time:
            raise GalleryNotFound(opened.gallery_id)
        # Before anything is loaded: what expires meanwhile leaves the index when it is next used.
        coming = self._coming(opened.gallery_id)
        settings = SearchSettings.of(gallery)
        indexes = {
            contract: self._index(opened, gallery, contract, dimension)
            for contract, dimension in self._dimensions(settings).items()
        }
        opened.distinct = DistinctPairs(self._store.distinct_pairs(opened.gallery_id))
        with opened.expiry_lock:
            opened.indexes, opened.coming, opened.has_left_unasked = indexes, coming, False
        self.show(opened, gallery)
        opened.stored_revision = revision
        opened.changes += 1
        opened.recent.note_anything()

    def _stored_revision(self, gallery_id: str) -> Revision:
        """Return the revision of a gallery; whoever loads it later has at least what it had then."""
        return FIRST if self._store.feed is None else self._store.feed.revision(gallery_id).revision

    def indexes_to_fill(self, gallery: Gallery) -> Mapping[str, MemoryIndex] | None:
        """Make the indexes of a gallery that is being imported; ``None`` if the store keeps its own."""
        dimensions = self._dimensions(SearchSettings.of(gallery))
        if self._store.index(gallery, dimension=next(iter(dimensions.values()))) is not None:
            return None
        return {contract: MemoryIndex(dimension, self._pool) for contract, dimension in dimensions.items()}

    def add(self, gallery: Gallery, filled: Mapping[str, MemoryIndex] | None = None) -> OpenGallery:
        """Open a gallery of the store; its templates are loaded unless indexes are filled already."""
        # A filled index has what the gallery was created with; what has changed since then is applied later.
        revision = self._stored_revision(gallery.gallery_id) if filled is None else FIRST
        # What has expired in a filled index leaves it when it is first used.
        coming = self._coming(gallery.gallery_id) if filled is None else ComingExpiries(UNKNOWN)
        for contract, index in (filled or {}).items():
            index.key = self._file_key(gallery, contract, index.dimension)
        opened = OpenGallery(
            gallery.gallery_id,
            gallery.create_time,
            SearchSettings.of(gallery),
            filled or {},
            self.dimensions,
            self.mismatches,
            math.inf,
            coming,
            DistinctPairs(self._store.distinct_pairs(gallery.gallery_id)),
            stored_revision=revision,
            on_gone=self._gone,
        )
        if filled is None:
            opened.fresh_until = time.monotonic() + REFRESH_SECONDS
            self.show(opened, gallery)
        self._galleries[gallery.gallery_id] = opened
        return opened

    def show(self, opened: OpenGallery, gallery: Gallery) -> None:
        """Let searches that begin from now on go by a gallery as it was stored; load what they need, and drop the rest.

        Raises:
            StorageError: the store cannot be read, or has embeddings of another dimension under a contract.
        """
        with opened.show_lock:
            settings = SearchSettings.of(gallery)
            dimensions = self._dimensions(settings)
            if dimensions.keys() == opened.indexes.keys():
                opened.settings = settings
            else:
                indexes = {
                    contract: opened.indexes.get(contract) or self._index(opened, gallery, contract, dimension)
                    for contract, dimension in dimensions.items()
                }
                has_others = bool(opened.indexes)
                # A search that began before finds the index of its contract as long as the gallery has it.
                opened.indexes = dict(opened.indexes) | indexes
                opened.settings = settings
                opened.indexes = indexes
                if has_others:  # what has expired while an index was loaded has only left the others
                    self.drop_expired(opened, anew=True)
            self.on_shown(gallery.gallery_id, settings)

    def add_created(self, gallery: Gallery, filled: Mapping[str, MemoryIndex] | None = None) -> None:
        """Open a gallery that was just stored; if that fails, it is there all the same, and is opened when it is used.

        See :meth:`add` for the arguments.
        """
        with suppress(StorageError, GalleryNotFound):
            self.add(gallery, filled)

    def remove(self, gallery_id: str) -> None:
        """Close a gallery that is no longer in the store."""
        self._galleries.pop(gallery_id, None)
        self.on_shown(gallery_id, None)

    def _gone(self, gallery_id: str, subject_ids: Collection[str]) -> None:
        self.on_gone(gallery_id, subject_ids)

    def _refreshed(self, found: OpenGallery) -> OpenGallery:
        settings, distinct = found.settings, found.distinct
        try:
            gallery = self._store.gallery(found.gallery_id)
            pairs = self._store.distinct_pairs(found.gallery_id)
        except GalleryNotFound:
            with self.create_lock:
                if self.is_open(found):
                    self.remove(found.gallery_id)
            raise
        if found.create_time != gallery.create_time:
            with self.create_lock:
                return self.add(gallery)
        with found.show_lock:
            if found.settings is settings:  # otherwise this process changed them after the store was read
                self.show(found, gallery)
        if found.distinct is distinct:
            found.distinct = DistinctPairs(pairs)
        found.fresh_until = time.monotonic() + REFRESH_SECONDS
        return found

    def _dimensions(self, settings: SearchSettings) -> dict[str, int]:
        """The contracts whose templates are opened, with their dimensions: none if nothing can search them."""
        if settings.contract not in self.dimensions and settings.migration is None:
            return {}
        known = settings.contracts
        return {contract: self.dimensions.get(contract) or known[contract] or self.dimension for contract in known}

    def _index(self, opened: OpenGallery, gallery: Gallery, contract: str, dimension: int) -> Index:
        index = self._store.index(gallery, dimension=dimension, contract=contract)
        if index is None:
            index, opened.fresh_until = self._loaded(gallery, contract, dimension), math.inf
        return index

    def _loaded(self, gallery: Gallery, contract: str, dimension: int) -> MemoryIndex:
        index = MemoryIndex(dimension, self._pool)
        among = contract if gallery.migration is not None else ""
        index.key = self._file_key(gallery, contract, dimension)
        if index.key is not None and self._files is not None and self._store.feed is not None:
            files = self._files.files(index.key)
            if files and resume(index, files, self._store.feed, gallery.gallery_id, among):
                return index
        for found in self._templates(gallery.gallery_id, among):
            if found.embeddings.shape[1] != dimension:
                raise StorageUnavailable(
                    f"gallery {gallery.gallery_id!r} has embeddings of {found.embeddings.shape[1]} values, "
                    f"its contract has {dimension}"
                )
            index.add(found)
        return index

    def _file_key(self, gallery: Gallery, contract: str, dimension: int) -> IndexKey | None:
        """Return what the index of a gallery that is read from now on has in files; ``None`` if there are no files."""
        if self._files is None or self._store.feed is None:
            return None
        found = self._store.feed.revision(gallery.gallery_id)
        if found.create_time != gallery.create_time:
            return None
        return IndexKey(gallery.gallery_id, to_microseconds(gallery.create_time), contract, found.epoch, dimension)

    def _templates(self, gallery_id: str, contract: str) -> Iterator[EmbeddedTemplates]:
        """Read all templates of a gallery under a contract, a page at a time; empty for the gallery's."""
        if self._store.feed is not None:
            yield from self._store.feed.templates(gallery_id, contract=contract)
            return
        after = ""
        while found := self._store.embedded_templates(
            gallery_id, after=after, limit=_TEMPLATES_PER_PAGE, contract=contract
        ):
            yield found
            after = found.template_ids[-1]
