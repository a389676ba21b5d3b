"""An open gallery: what searches and enrolments need of it, without asking the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gallery.errors import ContractMismatch
from gallery.index.protocol import Index
from gallery.opened.coming_expiries import ComingExpiries
from gallery.opened.mismatches import Mismatches
from gallery.opened.recent_changes import RecentChanges
from gallery.records.calibrations import Calibration, calibration_status
from gallery.records.distinct_pairs import NO_PAIRS, DistinctPairs
from gallery.records.expired import Expired
from gallery.records.galleries import Gallery
from gallery.records.identifications import Identification
from gallery.records.migrations import Migration
from gallery.records.policies import GalleryPolicy
from gallery.stores.feed import FIRST, Revision
from gallery.together import Together


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What searches and enrolments go by; see :class:`gallery.records.galleries.Gallery` for the attributes."""

    threshold: float
    mean_of_best: int
    calibration: Calibration | None
    policy: GalleryPolicy
    contract: str = ""
    migration: Migration | None = None

    @staticmethod
    def of(gallery: Gallery) -> SearchSettings:
        """Return the settings of a gallery."""
        return SearchSettings(
            gallery.threshold,
            gallery.mean_of_best,
            gallery.calibration,
            gallery.policy,
            gallery.contract,
            gallery.migration,
        )

    @property
    def contracts(self) -> Mapping[str, int | None]:
        """The contracts of the gallery's templates, the one that searches first, with the dimensions known here."""
        if self.migration is None:
            return {self.contract: None}
        if self.migration.is_ending:
            return {self.contract: self.migration.model(self.contract).dimension}
        models = (self.migration.model(self.contract), self.migration.other_model(self.contract))
        return {model.contract: model.dimension for model in models}

    def under(self, contract: str) -> SearchSettings:
        """Return the settings of searches by one of the gallery's contracts."""
        if contract == self.contract or self.migration is None:
            return self
        other = self.migration.other
        return replace(self, contract=contract, threshold=other.threshold, calibration=other.calibration)

    def rated(self, found: Identification) -> Identification:
        """Add the calibration's state and false-positive rate to an answer."""
        calibration, templates = self.calibration, found.templates_compared
        if calibration is None:
            return found
        status = calibration_status(
            calibration,
            contract=self.contract,
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
        settings: the current settings; replaced as a whole, so that a search sees consistent ones.
        indexes: its templates by embedding contract, replaced as a whole: of the one that searches, and of the other
            one of its migration. Empty if the server has no model of the gallery.
        known: the contracts of the server's models.
        mismatches: explains what does not fit it.
        fresh_until: when to ask the store again, on the monotonic clock; infinity if only this process writes to it.
        coming: what expires next, and has to leave the indexes; nothing if the store keeps them.
        distinct: the subjects that were told apart; replaced as a whole, like the settings.
        expiries: how often something has left the index because it had expired.
        has_left_unasked: whether something has expired here that the store was not asked about, so that another server
            may have given it more time just before.
        has_unshown: whether something may be stored that the indexes lack.
        recent: the latest of these changes.
        changes: the number of changes made by this process, and of changes of others that it has followed.
        stored_revision: the indexes have everything that the store had at this revision; the first one if it has no
            feed.
        answer_key: seals the ids of its answers; ``None`` before it is needed.
        change_lock: held by a thread that changes the gallery.
        show_lock: held while the settings are replaced.
        refresh_lock: held by a thread that asks the store again.
        expiry_lock: held by a thread that removes from the index what has expired.
        enrollments: those that wait for the change lock; whoever gets it stores all of them.
        lookalike_searches: those that wait to be made together.
        on_gone: told the gallery, and subjects that were deleted, were merged into others, or have expired. It must not
            raise, and must not use the gallery: the caller holds its locks.
    """

    gallery_id: str
    create_time: datetime
    settings: SearchSettings
    indexes: Mapping[str, Index]
    known: Collection[str]
    mismatches: Mismatches
    fresh_until: float
    coming: ComingExpiries
    distinct: DistinctPairs = NO_PAIRS
    expiries: int = 0
    has_left_unasked: bool = False
    has_unshown: bool = False
    recent: RecentChanges = field(default_factory=RecentChanges)
    changes: int = 0
    stored_revision: Revision = FIRST
    answer_key: bytes | None = None
    change_lock: threading.Lock = field(default_factory=threading.Lock)
    show_lock: threading.RLock = field(default_factory=threading.RLock)
    refresh_lock: threading.Lock = field(default_factory=threading.Lock)
    expiry_lock: threading.Lock = field(default_factory=threading.Lock)
    on_gone: Callable[[str, Collection[str]], None] = lambda _, __: None
    enrollments: Together[Any, Any] = field(init=False)
    lookalike_searches: Together[Any, None] = field(default_factory=lambda: Together(threading.Lock()))

    def __post_init__(self) -> None:
        self.enrollments = Together(self.change_lock)

    @property
    def revision(self) -> Hashable:
        """Changes whenever a search may find something else; with other writers, whenever the store was asked."""
        return self.create_time, self.settings.contract, self.changes, self.expiries, self.fresh_until

    def forget(self, gone: Expired) -> None:
        """Remove subjects and templates that were deleted or have expired; the indexes may lack them already."""
        for index in self.indexes.values():
            index.remove(gone)
        if gone.templates:
            self.recent.note_anything()
        self.recent.note_gone(gone.subject_ids)
        self.coming.forget(gone.subject_ids)
        self.distinct = self.distinct.without(gone.subject_ids)
        self.on_gone(self.gallery_id, gone.subject_ids)

    def forget_subject(self, subject_id: str) -> None:
        """Remove a subject that was deleted or has expired; the indexes may lack it already."""
        self.remove_subject(subject_id)
        self.distinct = self.distinct.without((subject_id,))

    def remove_subject(self, subject_id: str) -> None:
        """Remove a subject that was deleted, has expired, or was merged into another one."""
        for index in self.indexes.values():
            index.remove_subject(subject_id)
        self.recent.note_gone((subject_id,))
        self.coming.forget((subject_id,))
        self.on_gone(self.gallery_id, (subject_id,))

    def index_for(self, contract: str) -> Index:
        """Return the index, for embeddings of a contract; see :meth:`search_by`."""
        return self.search_by(contract)[0]

    def search_by(self, contract: str) -> tuple[Index, SearchSettings]:
        """Return the index, and the settings that belong to it, for embeddings of a contract.

        Raises:
            ContractMismatch: the gallery has no templates of this contract, or the server no model of it.
        """
        settings = self.settings
        index = self.indexes.get(contract) if contract in settings.contracts else None
        if index is None or contract not in self.known:
            raise self.mismatch(contract)
        return index, settings.under(contract)

    def mismatch(self, contract: str) -> ContractMismatch:
        """Return the error that explains why embeddings of a contract do not fit."""
        settings = self.settings
        loaded = [each for each in settings.contracts if each in self.known]
        if contract in settings.contracts or not loaded:
            missing = contract if contract in settings.contracts else settings.contract
            return self.mismatches.not_loaded(self.gallery_id, settings.contract, settings.migration, missing=missing)
        return self.mismatches.other_embedding(self.gallery_id, loaded, settings.migration, found=contract)
