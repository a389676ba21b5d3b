"""A gallery, and a change to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from gallery.records.calibrations import Calibration
from gallery.records.migrations import Migration, ThresholdSettings
from gallery.records.policies import NO_POLICY, GalleryPolicy
from gallery.records.thresholds import ThresholdSource, rounded_threshold

MAX_MEAN_OF_BEST = 16
"""The maximum of ``mean_of_best``."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """A set of subjects that are searched together.

    Attributes:
        gallery_id: the id.
        display_name: a name for people.
        threshold: a probe matches if its similarity to the best subject is at least this; cosine in [-1, 1],
            rounded to float32, as similarities are.
        mean_of_best: a subject's similarity is the mean over this many of its best templates, or over all of them if
            it has fewer; 1 (the best template alone) to :data:`MAX_MEAN_OF_BEST`.
        contract: the embedding contract of its templates, by which they are searched.
        subject_count: the number of subjects, without those that have expired.
        template_count: the number of templates, without those that have expired.
        create_time: UTC, to the microsecond.
        update_time: when the name, threshold, ``mean_of_best``, calibration or policy last changed; UTC, to the
            microsecond.
        etag: opaque; changes whenever ``update_time`` does.
        calibration: the last calibration of the threshold; ``None`` if there was none.
        threshold_source: where the threshold comes from.
        policy: what it demands of the people in it, and how long it keeps them.
        migration: its migration to another embedding model; ``None`` if there is none.
    """

    gallery_id: str
    display_name: str
    threshold: float
    mean_of_best: int
    contract: str
    subject_count: int
    template_count: int
    create_time: datetime
    update_time: datetime
    etag: str
    calibration: Calibration | None = None
    threshold_source: ThresholdSource = ThresholdSource.CALLER
    policy: GalleryPolicy = NO_POLICY
    migration: Migration | None = None

    @property
    def contracts(self) -> tuple[str, ...]:
        """The contracts of its templates: the one that searches, and the other one of its migration until that ends."""
        if self.migration is None or self.migration.is_ending:
            return (self.contract,)
        return self.contract, self.migration.other_model(self.contract).contract

    def under(self, contract: str) -> Gallery:
        """Return the gallery as it is when the model of one of its contracts searches.

        The thresholds and the calibrations of the two models of its migration change places if it is the other one.
        """
        migration = self.migration
        if contract == self.contract or migration is None:
            return self
        return replace(
            self,
            contract=contract,
            threshold=migration.other.threshold,
            threshold_source=migration.other.source,
            calibration=migration.other.calibration,
            migration=migration.with_other(ThresholdSettings(self.threshold, self.threshold_source, self.calibration)),
        )

    def told_to(self, permitted: Callable[[str], bool]) -> Gallery:
        """The gallery for somebody who may not know of all galleries.

        Args:
            permitted: whether a gallery may be named, by its id; see :meth:`Calibration.told_to`.
        """
        calibration = self.calibration and self.calibration.told_to(permitted)
        migration = self.migration
        if migration is not None and migration.other.calibration is not None:
            told = migration.other.calibration.told_to(permitted)
            migration = migration.with_other(replace(migration.other, calibration=told))
        return replace(self, calibration=calibration, migration=migration)


@dataclass(frozen=True, slots=True)
class GalleryChange:
    """What to change in a gallery; ``None`` leaves a value as it is.

    Attributes:
        display_name: see :class:`Gallery`, like the others.
        threshold: [-1, 1]; rounded to float32 when it is applied.
        mean_of_best: 1 to :data:`MAX_MEAN_OF_BEST`.
        calibration: the calibration that ``threshold`` comes from.
        policy: the whole policy.
        migration: the migration as it begins, is changed or switched.
        ends_migration: the gallery has no migration any more.
        contract: the other contract of its migration, which searches from now on. The thresholds of the two models
            change places.
    """

    display_name: str | None = None
    threshold: float | None = None
    mean_of_best: int | None = None
    calibration: Calibration | None = None
    policy: GalleryPolicy | None = None
    migration: Migration | None = None
    ends_migration: bool = False
    contract: str | None = None

    def apply(self, gallery: Gallery, *, etag: str, time: datetime) -> Gallery:
        """Return the changed gallery with a new etag and update time."""
        changed = replace(gallery, etag=etag, update_time=time)
        if self.display_name is not None:
            changed = replace(changed, display_name=self.display_name)
        if self.mean_of_best is not None:
            changed = replace(changed, mean_of_best=self.mean_of_best)
        if self.calibration is not None:
            changed = replace(changed, calibration=self.calibration)
        if self.policy is not None:
            changed = replace(changed, policy=self.policy)
        if self.threshold is not None:
            source = ThresholdSource.CALLER if self.calibration is None else ThresholdSource.CALIBRATION
            changed = replace(changed, threshold=rounded_threshold(self.threshold), threshold_source=source)
        if self.migration is not None or self.ends_migration:
            changed = replace(changed, migration=self.migration)
        if self.contract is not None:
            changed = changed.under(self.contract)
        return changed
