"""The open galleries of a server: what a search needs, without asking the store."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from gallery.errors import ContractMismatch, GalleryNotFound, StorageError, StorageUnavailable
from gallery.index.memory_index import MemoryIndex
from gallery.index.protocol import Index
from gallery.records.calibrations import Calibration, calibration_status
from gallery.records.distinct_pairs import NO_PAIRS, DistinctPairs
from gallery.records.expired import Expired
from gallery.records.galleries import Gallery
from gallery.records.identifications import Identification
from gallery.records.policies import GalleryPolicy
from gallery.search_pool import SearchPool
from gallery.stores.base import Store
from gallery.times import Clock, now

REFRESH_SECONDS = 1.0
"""How long a gallery of a store that other processes write to is used before the store is asked again."""

_GALLERIES_PER_PAGE = 1000
_TEMPLATES_PER_PAGE = 1024
_ALL = sys.maxsize


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What searches and enrolments go by; see :class:`gallery.records.galleries.Gallery` for the attributes."""

    threshold: float
    mean_of_best: int
    calibration: Calibration | None
    policy: GalleryPolicy

    @staticmethod
    def of(gallery: Gallery) -> SearchSettings:
        """Return the settings of a gallery."""
        return SearchSettings(gallery.threshold, gallery.mean_of_best, gallery.calibration, gallery.policy)

    def rated(self, found: Identification, contract: str) -> Identification:
        """Add the calibration's state and false-positive rate to an answer, under the server's contract."""
        calibration, templates = self.calibration, found.templates_compared
        if calibration is None:
            return found
        status = calibration_status(
            calibration,
            contract=contract,
            threshold=self.threshold,
            mean_of_best=self.mean_of_best,
            templates=templates,
        )
        rate = None
        if found.candidates and status.curve_applies:
            rate = calibration.false_positive_rate(found.candidates[0].similarity, templates)
        return replace(found, calibration=status.state, false_positive_rate=rate)


@dataclass(slots=True)
class OpenGallery:
    """A gallery that can be searched without asking the store.

    Attributes:
        gallery_id: the gallery.
        create_time: distinguishes it from a later gallery with the same id.
        gallery_contract: the embedding contract of its templates.
        server_contract: the embedding contract of the server's model.
        settings: the current settings; replaced as a whole, so that a search sees consistent ones.
        index: its templates; ``None`` if the two contracts differ.
        fresh_until: when to ask the store again, on the monotonic clock; infinity if only this process writes to it.
        next_expiry: when something expires next, and has to leave the index; ``None`` for never, or if the store keeps
            the index.
        distinct: the subjects that were told apart; replaced as a whole, like the settings.
        expiries: how often something has left the index because it had expired.
        changes: the number of changes made by this process.
        answer_key: seals the ids of its answers; ``None`` before it is needed.
        change_lock: held by a thread that changes the gallery.
        refresh_lock: held by a thread that asks the store again.
        expiry_lock: held by a thread that removes from the index what has expired.
    """

    gallery_id: str
    create_time: datetime
    gallery_contract: str
    server_contract: str
    settings: SearchSettings
    index: Index | None
    fresh_until: float
    next_expiry: datetime | None
    distinct: DistinctPairs = NO_PAIRS
    expiries: int = 0
    changes: int = 0
    answer_key: bytes | None = None
    change_lock: threading.Lock = field(default_factory=threading.Lock)
    refresh_lock: threading.Lock = field(default_factory=threading.Lock)
    expiry_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def revision(self) -> Hashable:
        """Changes whenever a search may find something else; with other writers, whenever the store was asked."""
        return self.create_time, self.changes, self.expiries, self.fresh_until

    def forget(self, gone: Expired) -> None:
        """Remove subjects and templates that were deleted or have expired; the index may lack them already."""
        if self.index is not None:
            self.index.remove(gone)
        self.distinct = self.distinct.without(gone.subject_ids)

    def forget_subject(self, subject_id: str) -> None:
        """Remove a subject that was deleted or has expired; the index may lack it already."""
        if self.index is not None:
            self.index.remove_subject(subject_id)
        self.distinct = self.distinct.without((subject_id,))

    def index_for(self, contract: str) -> Index:
        """Return the index, for embeddings of a contract.

        Raises:
            ContractMismatch: the gallery's contract is not this one, or not the server's.
        """
        if contract != self.gallery_contract:
            raise ContractMismatch(self.gallery_id, expected=self.gallery_contract, found=contract)
        if self.index is None:
            raise ContractMismatch(self.gallery_id, expected=self.gallery_contract, found=self.server_contract)
        return self.index


class GalleryRegistry:
    """The open galleries: all of them if only this process writes to the store, else those used recently.

    Whoever finds a gallery here does not find in its index what had expired before.

    Args:
        store: the store.
        contract: the embedding contract of the server's model.
        dimension: values of an embedding.
        pool: the threads that search an index in memory.
        clock: tells what has expired; the store's.

    Raises:
        StorageError: the store cannot be read, or has embeddings of another dimension under this contract.
    """

    def __init__(self, store: Store, *, contract: str, dimension: int, pool: SearchPool, clock: Clock = now) -> None:
        self._store = store
        self._pool = pool
        self.clock = clock
        self.contract = contract
        self.dimension = dimension
        self._galleries: dict[str, OpenGallery] = {}
        self.create_lock = threading.Lock()
        """Held while a gallery is created or deleted, here and in the store."""
        after = ""
        while galleries := store.galleries(after=after, limit=_GALLERIES_PER_PAGE):
            for gallery in galleries:
                self.add(gallery)
            after = galleries[-1].gallery_id

    def find(self, gallery_id: str) -> OpenGallery:
        """Return an open gallery; asks the store only if other processes write to it, or something has just expired.

        Raises:
            GalleryNotFound: it does not exist.
        """
        found = self._find(gallery_id)
        if found.next_expiry is not None and self.clock() >= found.next_expiry:
            self.drop_expired(found)
        return found

    def drop_expired(self, gallery: OpenGallery, *, anew: bool = False) -> None:
        """Remove from the index of a gallery what has expired, and find out when something expires next.

        Args:
            gallery: the gallery.
            anew: also look for what has expired before ``next_expiry``, because expiries have changed.

        Raises:
            GalleryNotFound: it was deleted.
            StorageError: the store cannot be read.
        """
        if not math.isinf(gallery.fresh_until):
            return  # there is no index, or the store keeps it, which leaves out what has expired
        with gallery.expiry_lock:
            is_due = anew or (gallery.next_expiry is not None and self.clock() >= gallery.next_expiry)
            # Read first: what expires between the two is removed now or the next time.
            next_expiry = self._store.next_expiry(gallery.gallery_id)
            if is_due and gallery.index is not None:
                gallery.forget(self._store.expired(gallery.gallery_id, limit=_ALL))
                gallery.expiries += 1
            gallery.next_expiry = next_expiry

    def _find(self, gallery_id: str) -> OpenGallery:
        found = self._galleries.get(gallery_id)
        if found is None:
            with self.create_lock:
                return self._galleries.get(gallery_id) or self.add(self._store.gallery(gallery_id))
        # One thread asks the store again; meanwhile the others use the gallery as it is.
        if time.monotonic() < found.fresh_until or not found.refresh_lock.acquire(blocking=False):
            return found
        try:
            return self._refreshed(found)
        finally:
            found.refresh_lock.release()

    def index(self, gallery_id: str) -> Index:
        """Return the index of a gallery that the server's model can search.

        Raises:
            GalleryNotFound: it does not exist.
            ContractMismatch: it has another contract than the server.
        """
        return self.find(gallery_id).index_for(self.contract)

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
            if not self.is_open(gallery):
                raise GalleryNotFound(gallery_id)
            if gallery.next_expiry is not None and self.clock() >= gallery.next_expiry:
                self.drop_expired(gallery)
            try:
                yield gallery
            finally:
                gallery.changes += 1

    def index_to_fill(self, gallery: Gallery) -> MemoryIndex | None:
        """Make the index of a gallery that is being imported; ``None`` if the store keeps its own."""
        if self._store.index(gallery, dimension=self.dimension) is not None:
            return None
        return MemoryIndex(self.dimension, self._pool)

    def add(self, gallery: Gallery, filled: MemoryIndex | None = None) -> OpenGallery:
        """Open a gallery of the store; its templates are loaded unless an index is filled already."""
        index: Index | None = filled
        # What has expired in a filled index leaves it when it is first used.
        next_expiry = self._store.next_expiry(gallery.gallery_id) if filled is None else self.clock()
        fresh_until = math.inf if filled is not None else time.monotonic() + REFRESH_SECONDS
        if filled is None and gallery.contract == self.contract:
            index = self._store.index(gallery, dimension=self.dimension)
            if index is None:
                index, fresh_until = self._loaded(gallery), math.inf
        opened = OpenGallery(
            gallery.gallery_id,
            gallery.create_time,
            gallery.contract,
            self.contract,
            SearchSettings.of(gallery),
            index,
            fresh_until,
            next_expiry,
            DistinctPairs(self._store.distinct_pairs(gallery.gallery_id)),
        )
        self._galleries[gallery.gallery_id] = opened
        return opened

    def add_created(self, gallery: Gallery, filled: MemoryIndex | None = None) -> None:
        """Open a gallery that was just stored; if that fails, it is there all the same, and is opened when it is used.

        See :meth:`add` for the arguments.
        """
        with suppress(StorageError, GalleryNotFound):
            self.add(gallery, filled)

    def remove(self, gallery_id: str) -> None:
        """Close a gallery that is no longer in the store."""
        self._galleries.pop(gallery_id, None)

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
        if found.settings is settings:  # otherwise this process changed them after the store was read
            found.settings = SearchSettings.of(gallery)
        if found.distinct is distinct:
            found.distinct = DistinctPairs(pairs)
        found.fresh_until = time.monotonic() + REFRESH_SECONDS
        return found

    def _loaded(self, gallery: Gallery) -> MemoryIndex:
        index = MemoryIndex(self.dimension, self._pool)
        after = ""
        while found := self._store.embedded_templates(gallery.gallery_id, after=after, limit=_TEMPLATES_PER_PAGE):
            if found.embeddings.shape[1] != self.dimension:
                raise StorageUnavailable(
                    f"gallery {gallery.gallery_id!r} has embeddings of {found.embeddings.shape[1]} values, "
                    f"its contract has {self.dimension}"
                )
            index.add(found)
            after = found.template_ids[-1]
        return index
