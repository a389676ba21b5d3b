"""A gallery as a search needs it, at hand without asking the store."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime

from gallery.calibration.thresholds import OF_OTHER_SIMILARITIES, false_positive_rate, standing
from gallery.errors import ContractMismatch, GalleryNotFound, StorageUnavailable
from gallery.index.base import Index
from gallery.index.memory_index import MemoryIndex
from gallery.records.calibrations import Calibration
from gallery.records.records import Gallery, Identification
from gallery.search_pool import SearchPool
from gallery.stores.base import Store

REFRESHED_SECONDS = 1.0
"""How long what a store that other processes write to said of a gallery is taken to hold."""

_LISTED_AT_ONCE = 1000
_LOADED_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """What a search does with similarities; see :class:`gallery.records.records.Gallery` for the attributes."""

    threshold: float
    mean_of_best: int
    calibration: Calibration | None

    @staticmethod
    def of(gallery: Gallery) -> Settings:
        """Those of a gallery."""
        return Settings(gallery.threshold, gallery.mean_of_best, gallery.calibration)

    def rated(self, found: Identification, contract: str) -> Identification:
        """An answer with what the calibration says of it, under the server's contract."""
        calibration, templates = self.calibration, found.templates_compared
        if calibration is None:
            return found
        stands = standing(
            calibration,
            contract=contract,
            threshold=self.threshold,
            mean_of_best=self.mean_of_best,
            templates=templates,
        )
        rate = None
        if found.candidates and not OF_OTHER_SIMILARITIES.intersection(stands.reasons):
            rate = false_positive_rate(calibration, found.candidates[0].similarity, templates)
        return replace(found, calibration=stands.state, false_positive_rate=rate)


@dataclass(slots=True)
class Searchable:
    """A gallery at hand.

    Attributes:
        gallery_id: the gallery.
        create_time: tells it from a later one of the same id.
        gallery_contract: the embedding contract of its templates.
        server_contract: that of the server's model.
        settings: the gallery's, as they are now; replaced as one, so that a search takes those that belong together.
        index: its templates; ``None`` where the two contracts differ.
        good_until: when the store has to be asked again, by the monotonic clock; never, where only this process
            writes to it.
        changes: how often somebody here has changed it.
        writing: held by whoever changes the gallery.
        refreshing: held by whoever asks the store again.
    """

    gallery_id: str
    create_time: datetime
    gallery_contract: str
    server_contract: str
    settings: Settings
    index: Index | None
    good_until: float
    changes: int = 0
    writing: threading.Lock = field(default_factory=threading.Lock)
    refreshing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def revision(self) -> Hashable:
        """Another value where a search may find something else; with other writers, as often as the store is asked."""
        return self.create_time, self.changes, self.good_until

    def index_for(self, contract: str) -> Index:
        """The index, for embeddings of a contract.

        Raises:
            ContractMismatch: the gallery is of another contract than these, or than the server.
        """
        if contract != self.gallery_contract:
            raise ContractMismatch(self.gallery_id, expected=self.gallery_contract, found=contract)
        if self.index is None:
            raise ContractMismatch(self.gallery_id, expected=self.gallery_contract, found=self.server_contract)
        return self.index


class Shelf:
    """The galleries of a store, at hand: all of them where the store has one process, else those asked for lately.

    Args:
        store: what they are read from.
        contract: the embedding contract of the server's model.
        dimension: how many values its embeddings have.
        pool: the threads that search an index in memory.

    Raises:
        StorageError: the store cannot be read, or holds embeddings of another dimension under this contract.
    """

    def __init__(self, store: Store, *, contract: str, dimension: int, pool: SearchPool) -> None:
        self._store = store
        self._pool = pool
        self._contract = contract
        self._dimension = dimension
        self._galleries: dict[str, Searchable] = {}
        self.changing = threading.Lock()
        """Held while a gallery is made, or goes, here and in the store."""
        after = ""
        while galleries := store.galleries(after=after, limit=_LISTED_AT_ONCE):
            for gallery in galleries:
                self.put(gallery)
            after = galleries[-1].gallery_id

    def find(self, gallery_id: str) -> Searchable:
        """The gallery; asks the store only where that has other writers.

        Raises:
            GalleryNotFound: there is none.
        """
        found = self._galleries.get(gallery_id)
        if found is None:
            with self.changing:
                return self._galleries.get(gallery_id) or self.put(self._store.gallery(gallery_id))
        # One asks the store again; others take the gallery as it was meanwhile.
        if time.monotonic() < found.good_until or not found.refreshing.acquire(blocking=False):
            return found
        try:
            return self._refreshed(found)
        finally:
            found.refreshing.release()

    def holds(self, searchable: Searchable) -> bool:
        """Whether this is still the gallery of its id."""
        return self._galleries.get(searchable.gallery_id) is searchable

    def index_to_fill(self, gallery: Gallery) -> MemoryIndex | None:
        """For a gallery that is being imported, the index to put it in with; ``None`` where the store keeps its own."""
        if self._store.index(gallery, dimension=self._dimension) is not None:
            return None
        return MemoryIndex(self._dimension, self._pool)

    def put(self, gallery: Gallery, filled: MemoryIndex | None = None) -> Searchable:
        """Take in a gallery that is in the store, with its templates, which may be in an index already."""
        index: Index | None = filled
        good_until = math.inf if filled is not None else time.monotonic() + REFRESHED_SECONDS
        if filled is None and gallery.contract == self._contract:
            index = self._store.index(gallery, dimension=self._dimension)
            if index is None:
                index, good_until = self._loaded(gallery), math.inf
        searchable = Searchable(
            gallery.gallery_id,
            gallery.create_time,
            gallery.contract,
            self._contract,
            Settings.of(gallery),
            index,
            good_until,
        )
        self._galleries[gallery.gallery_id] = searchable
        return searchable

    def drop(self, gallery_id: str) -> None:
        """Let go of a gallery that is no longer in the store."""
        self._galleries.pop(gallery_id, None)

    def _refreshed(self, found: Searchable) -> Searchable:
        settings = found.settings
        try:
            gallery = self._store.gallery(found.gallery_id)
        except GalleryNotFound:
            with self.changing:
                if self.holds(found):
                    self.drop(found.gallery_id)
            raise
        if found.create_time != gallery.create_time:
            with self.changing:
                return self.put(gallery)
        if found.settings is settings:  # else somebody here has changed them since they were read
            found.settings = Settings.of(gallery)
        found.good_until = time.monotonic() + REFRESHED_SECONDS
        return found

    def _loaded(self, gallery: Gallery) -> MemoryIndex:
        index = MemoryIndex(self._dimension, self._pool)
        after = ""
        while found := self._store.embedded_templates(gallery.gallery_id, after=after, limit=_LOADED_AT_ONCE):
            if found.embeddings.shape[1] != self._dimension:
                raise StorageUnavailable(
                    f"gallery {gallery.gallery_id!r} holds embeddings of {found.embeddings.shape[1]} values, "
                    f"its contract has {self._dimension}"
                )
            index.add(found)
            after = found.template_ids[-1]
        return index
