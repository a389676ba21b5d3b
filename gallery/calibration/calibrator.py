"""Calibration of a gallery: nonmated searches, the choice of a threshold, and the change of the gallery."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gallery.calibration import nonmated_searches
from gallery.calibration.nonmated_searches import Evidence, NonmatedSearch
from gallery.calibration.own_pictures import NO_OWN_PICTURES, OwnPictures
from gallery.calibration.thresholds import (
    MAX_TARGET_FPIR,
    MIN_PEOPLE,
    MIN_SEARCHES,
    ThresholdChoice,
    choose_threshold,
    searches_needed,
)
from gallery.embeddings import normalized
from gallery.errors import (
    CalibrationUnreliable,
    EtagMismatch,
    GalleryNotFound,
    MigrationEnding,
    NoMigration,
    TooFewSearches,
)
from gallery.etags import check_etag, new_etag
from gallery.opened.registry import GalleryRegistry
from gallery.records.calibrations import (
    Calibration,
    CalibrationSource,
    CalibrationStatus,
    calibration_status,
    fpir_at_size,
)
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.migrations import ThresholdSettings
from gallery.records.thresholds import ThresholdSource
from gallery.stores.base import Store
from gallery.times import now

MAX_OWN_PROBES = 2000
"""The most templates that are compared within their subjects for a calibration from labelled probes."""


class Calibrator:
    """Calibrates the thresholds of galleries. Enrolments and searches do not wait for the nonmated searches.

    Every method may raise :class:`gallery.errors.GalleryNotFound` and :class:`gallery.errors.StorageError`.

    Args:
        store: where galleries are stored.
        registry: the open galleries.
    """

    def __init__(self, store: Store, registry: GalleryRegistry) -> None:
        self._store = store
        self._registry = registry

    def begin(self, gallery_id: str, *, contract: str = "", etag: str = "") -> Gallery:
        """Return the gallery to calibrate, after checking that it can be searched.

        Args:
            gallery_id: the gallery.
            contract: of the model whose threshold is calibrated, one of the two of a migration; empty for the
                gallery's.
            etag: the current etag; empty to not compare it.

        Returns:
            the gallery as it is under this contract.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
            ContractMismatch: the gallery has no templates of this contract, or the server no model of it.
        """
        opened = self._registry.find(gallery_id)
        opened.index_for(contract or opened.settings.contract)
        gallery = self._store.gallery(gallery_id)
        check_etag(gallery_id, current=gallery.etag, sent=etag)
        if contract and contract not in gallery.contracts:
            raise self._registry.mismatches.other_embedding(
                gallery_id, gallery.contracts, gallery.migration, found=contract
            )
        return gallery.under(contract or gallery.contract)

    def count_templates(self, gallery_id: str, contract: str) -> int:
        """Return how many templates of a gallery a search under a contract compares.

        Raises:
            ContractMismatch: the gallery has no templates of this contract, or the server no model of it.
        """
        return len(self._registry.find(gallery_id).index_for(contract))

    def search_nonmated(
        self, gallery: Gallery, probes: NDArray[np.float32], subject_ids: Sequence[str]
    ) -> list[NonmatedSearch]:
        """Search for people among the other subjects of a gallery.

        Args:
            gallery: the result of :meth:`begin`; its ``mean_of_best`` is used throughout the calibration.
            probes: shape ``(n, dimension)``, of any length above zero.
            subject_ids: the subject of each probe, which need not be in the gallery.

        Raises:
            ContractMismatch: the gallery has another contract than the server.
            InvalidEmbedding: a probe has another dimension, is not finite, or has a length of zero.
        """
        return nonmated_searches.search_nonmated(
            self._registry.find(gallery.gallery_id).index_for(gallery.contract),
            normalized(probes, dimension=self._registry.dimensions[gallery.contract]),
            subject_ids,
            mean_of_best=gallery.mean_of_best,
            distinct=self._registry.find(gallery.gallery_id).distinct,
        )

    def search_cross_subject(self, gallery: Gallery, cohort_id: str, *, check: Callable[[], None]) -> Evidence:
        """Search for a gallery's subjects among each other.

        See :func:`gallery.calibration.nonmated_searches.search_cross_subject`.

        Args:
            gallery: the result of :meth:`begin`; its ``mean_of_best`` is used throughout the calibration.
            cohort_id: another gallery whose subjects are searched for as well; empty for none.
            check: called now and then; an exception from it ends the search.

        Raises:
            ContractMismatch: the gallery or the cohort has another contract than the server.
        """
        if cohort_id:
            self._registry.find(cohort_id).index_for(gallery.contract)

        def check_and_drop_expired() -> None:
            check()
            self._registry.find(gallery.gallery_id)

        return nonmated_searches.search_cross_subject(
            self._store,
            self._registry.find(gallery.gallery_id).index_for(gallery.contract),
            gallery.gallery_id,
            cohort_id,
            contract=gallery.contract,
            mean_of_best=gallery.mean_of_best,
            check=check_and_drop_expired,
            distinct=self._registry.find(gallery.gallery_id).distinct,
        )

    def calibrate(
        self,
        gallery: Gallery,
        evidence: Evidence,
        *,
        target_fpir: float,
        for_templates: int = 0,
        without_suspects: bool = False,
        etag: str = "",
        validate_only: bool = False,
        insist: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> tuple[Gallery, ThresholdChoice]:
        """Set a gallery's threshold from evidence, and store the calibration with it.

        In a migration it is the threshold of the model that was searched with, whether that one searches by now or not.

        Args:
            gallery: the result of :meth:`begin`, from before the searches.
            evidence: the searches.
            target_fpir: see :func:`calibrate_threshold`.
            for_templates: see :func:`calibrate_threshold`.
            without_suspects: see :func:`calibrate_threshold`.
            etag: the current etag; empty to not compare it.
            validate_only: check everything and return the same answer, but store nothing. An unreliable threshold is
                returned with its reasons in the forecast, and not refused.
            insist: store an unreliable threshold, too.
            check: called now and then, and before anything is stored; an exception from it ends the calibration.

        Raises:
            GalleryNotFound: the gallery was deleted in the meantime.
            EtagMismatch: ``etag`` is not the current one, or ``mean_of_best`` changed in the meantime, so that the
                searches are about other similarities, or the migration is another one.
            NoMigration: the migration ended in the meantime, and the model does not search.
            MigrationEnding: the embeddings of the model are being dropped.
            TooFewSearches: see :func:`calibrate_threshold`.
            CalibrationUnreliable: the threshold should not be set; see
                :class:`gallery.calibration.forecast.UnreliableReason`.
        """
        moment = now()
        own = self._own_pictures(gallery, evidence, check)
        calibration, choice = calibrate_threshold(
            gallery,
            evidence,
            target_fpir=target_fpir,
            for_templates=for_templates,
            without_suspects=without_suspects,
            own=own,
            time=moment,
        )
        check()
        with self._registry.changing(gallery.gallery_id) as opened:
            current = self._unchanged(gallery, etag)
            change = _change(gallery, current, calibration)
            if validate_only:
                return change.apply(current, etag=current.etag, time=current.update_time), choice
            if choice.forecast.unreliable and not insist:
                raise CalibrationUnreliable(
                    gallery.gallery_id,
                    choice.threshold,
                    [each.value for each in choice.forecast.unreliable],
                    choice.forecast.figures(),
                )
            stored = self._store.update_gallery(
                gallery.gallery_id, change, etag=current.etag, new_etag=new_etag(), time=moment
            )
            self._registry.show(opened, stored)
            return stored, choice

    def status(self, gallery: Gallery) -> CalibrationStatus:
        """Tell whether the calibration of a gallery still holds for the model that the server has of it."""
        is_known = gallery.contract in self._registry.dimensions
        return calibration_status(
            gallery.calibration,
            contract=gallery.contract if is_known else self._registry.contract,
            threshold=gallery.threshold,
            mean_of_best=gallery.mean_of_best,
            templates=gallery.template_count,
        )

    def _own_pictures(self, gallery: Gallery, evidence: Evidence, check: Callable[[], None]) -> OwnPictures:
        """Compare the gallery's templates within subjects, if the evidence is not about the gallery itself."""
        if evidence.source is CalibrationSource.PROBES and gallery.template_count:
            evidence = nonmated_searches.search_cross_subject(
                self._store,
                self._registry.find(gallery.gallery_id).index_for(gallery.contract),
                gallery.gallery_id,
                "",
                contract=gallery.contract,
                mean_of_best=gallery.mean_of_best,
                check=check,
                distinct=self._registry.find(gallery.gallery_id).distinct,
                max_probes=MAX_OWN_PROBES,
            )
        return evidence.own_pictures()

    def _unchanged(self, gallery: Gallery, etag: str) -> Gallery:
        """Return the gallery as it is now, after checking that the searches are still about it."""
        current = self._store.gallery(gallery.gallery_id)
        if current.create_time != gallery.create_time:
            raise GalleryNotFound(gallery.gallery_id)
        if current.mean_of_best != gallery.mean_of_best:
            raise EtagMismatch(gallery.gallery_id, "", expected=current.etag, found=gallery.etag)
        check_etag(gallery.gallery_id, current=current.etag, sent=etag)
        return current


def _change(gallery: Gallery, current: Gallery, calibration: Calibration) -> GalleryChange:
    """Return the change of a gallery that gives the calibrated model its threshold.

    Args:
        gallery: the gallery as it was before the searches.
        current: as it is now.
        calibration: the calibration.
    """
    if current.contract == calibration.contract:
        return GalleryChange(threshold=calibration.threshold, calibration=calibration)
    migration = current.migration
    if migration is None:
        raise NoMigration(current.gallery_id)
    if migration.is_ending:
        raise MigrationEnding(current.gallery_id, migration.other_model(current.contract).called)
    if gallery.migration is None or gallery.migration.migration_id != migration.migration_id:
        raise EtagMismatch(current.gallery_id, "", expected=current.etag, found=gallery.etag)
    other = ThresholdSettings(calibration.threshold, ThresholdSource.CALIBRATION, calibration)
    return GalleryChange(migration=migration.with_other(other))


def calibrate_threshold(
    gallery: Gallery,
    evidence: Evidence,
    *,
    target_fpir: float,
    for_templates: int,
    without_suspects: bool,
    time: datetime,
    own: OwnPictures = NO_OWN_PICTURES,
) -> tuple[Calibration, ThresholdChoice]:
    """Choose a gallery's threshold; see :func:`gallery.calibration.thresholds.choose_threshold`.

    Args:
        gallery: the gallery as it was before the searches.
        evidence: the searches. Suspects of a cross-subject search are never counted.
        target_fpir: above 0, at most :data:`gallery.calibration.thresholds.MAX_TARGET_FPIR`.
        for_templates: the gallery size that the threshold is for; the gallery's own if that is larger.
        without_suspects: do not count suspects.
        time: when the calibration is made.
        own: the gallery's own pictures, for the forecast.

    Raises:
        TooFewSearches: fewer searches compared something than the target needs, or they are for too few people. If
            many searches found no face, a target that those nearly meet alone needs more of the others.
    """
    scores = evidence.scores()
    size = max(for_templates, gallery.template_count, scores.templates)
    compared = [each.subject_id for each in evidence.searches if each.other_id]
    needed = MIN_SEARCHES
    if compared:
        expected = fpir_at_size(target_fpir, size, scores.templates) * len(evidence.searches)
        needed = max(searches_needed(target_fpir, scores.templates, size), math.ceil(expected / MAX_TARGET_FPIR - 1e-6))
    people = len(set(compared))
    if len(compared) < needed or people < MIN_PEOPLE:
        raise TooFewSearches(gallery.gallery_id, len(compared), needed, people=people, people_needed=MIN_PEOPLE)
    choice = choose_threshold(
        scores,
        target_fpir=target_fpir,
        for_templates=size,
        without_suspects=without_suspects or scores.is_cross_subject,
        own=own,
    )
    calibration = Calibration(
        target_fpir=target_fpir,
        threshold=choice.threshold,
        fpir=choice.fpir,
        fpir_low=choice.fpir_low,
        fpir_high=choice.fpir_high,
        model=choice.model,
        source=evidence.source,
        data_set=evidence.data_set,
        data_set_sha256=evidence.data_set_sha256,
        searches=choice.searches,
        identities=choice.identities,
        failures=evidence.failures,
        templates=scores.templates,
        for_templates=size,
        contract=gallery.contract,
        mean_of_best=gallery.mean_of_best,
        create_time=time,
        curve=choice.curve,
    )
    return calibration, choice
