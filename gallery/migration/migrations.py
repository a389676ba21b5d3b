"""Starts, switches, rolls back and ends the migration of a gallery to another embedding model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gallery.embeddings import normalized
from gallery.erasure.erasing import erasing
from gallery.errors import (
    AlreadyMigrated,
    AlreadySwitched,
    MigrationEnding,
    MigrationIncomplete,
    MigrationUnderWay,
    ModelNotLoaded,
    NoMigration,
    NoRoomToMigrate,
    NotSwitched,
    StorageFull,
    TemplateNotFound,
    ThresholdNotChosen,
)
from gallery.etags import new_etag
from gallery.migration.gaps import BEFORE_ALL, Gap, Gaps
from gallery.migration.shadowing import ModelRoles, Shadowing
from gallery.opened.open_gallery import OpenGallery, SearchSettings
from gallery.opened.registry import GalleryRegistry
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.migrations import MODEL_DIGITS, Migration, MigrationEnd, ModelVersion, ThresholdSettings
from gallery.records.templates import StoredFace
from gallery.records.thresholds import ThresholdSource, rounded_threshold
from gallery.stores.base import Store
from gallery.times import new_id

_AT_ONCE = 200
_DELETED_AT_ONCE = 50
"""Templates that one step deletes, each in a transaction of its own, while the gallery cannot be changed."""
MAX_FACES = 100
"""The most templates of one picture that are filled at once."""


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What a migration will do.

    Attributes:
        migration: the migration.
        with_crop: templates with a crop, from which embeddings are made.
        without_crop: templates without.
    """

    migration: Migration
    with_crop: int
    without_crop: int

    @property
    def bytes_needed(self) -> int:
        """Bytes that the embeddings of the new model take, roughly."""
        return (self.with_crop + self.without_crop) * (4 * self.migration.target.dimension + _ROW_BYTES)


_ROW_BYTES = 64
"""What a stored embedding takes beside its values, roughly."""


class Migrations:
    """Migrates galleries. When a method returns, its change is on disk, and every search that begins later sees it.

    Every method may raise :class:`gallery.errors.GalleryNotFound` and :class:`gallery.errors.StorageError`; all but
    :meth:`start` raise :class:`gallery.errors.NoMigration` if the gallery is not being migrated.

    Args:
        store: where everything is stored.
        registry: the open galleries.
        default_threshold: the server's.

    Attributes:
        models: the embedding models that the server has loaded.
        gaps: the templates that miss an embedding.
        on_switched: told the gallery whenever the other model searches from now on; they must not raise.
    """

    def __init__(self, store: Store, registry: GalleryRegistry, *, default_threshold: float) -> None:
        self._store = store
        self._registry = registry
        self._default_threshold = default_threshold
        self.models: Sequence[ModelVersion] = ()
        self.on_switched: list[Callable[[str], None]] = []
        self.gaps = Gaps(store, registry)

    def plan(self, gallery_id: str, to_model: str) -> MigrationPlan:
        """Return what :meth:`start` would do; change nothing.

        Args:
            gallery_id: the gallery.
            to_model: name, contract, or the beginning of the file's digest, of a model that is loaded.

        Raises:
            ModelNotLoaded: it is not, or the gallery's own model is not.
            AlreadyMigrated: the gallery has this model.
            MigrationUnderWay: the gallery is being migrated.
            NoRoomToMigrate: there is no room for the embeddings of both models.
        """
        return self._plan(self._store.gallery(gallery_id), to_model)

    def _plan(self, gallery: Gallery, to_model: str) -> MigrationPlan:
        gallery_id = gallery.gallery_id
        target = self._model(gallery, to_model)
        self._check_can_start(gallery, target)
        source = self._model(gallery, gallery.contract)
        default = ThresholdSettings(rounded_threshold(self._default_threshold), ThresholdSource.DEFAULT)
        migration = Migration(new_id(), source, target, default, self._registry.clock())
        second = self._store.second_embeddings
        plan = MigrationPlan(migration, *second.count_missing(gallery_id, target.contract))
        try:
            second.check_room(plan.bytes_needed)
        except StorageFull as error:
            raise NoRoomToMigrate(target.called, 2 * plan.bytes_needed) from error
        return plan

    def start(self, gallery_id: str, to_model: str) -> MigrationPlan:
        """Begin a migration; see :meth:`plan`. From now on, enrolments need embeddings of both models."""
        # Counting looks at every template, which enrolments need not wait for.
        plan = self.plan(gallery_id, to_model)
        with self._registry.changing(gallery_id) as opened:
            gallery = self._store.gallery(gallery_id)
            self._check_can_start(gallery, plan.migration.target)
            self._change(opened, gallery, GalleryChange(migration=plan.migration))
        return plan

    @property
    def at_once(self) -> int:
        """How many embeddings :meth:`add_embeddings` best takes."""
        return self._store.second_embeddings.at_once

    def add_embeddings(
        self, gallery_id: str, contract: str, faces: Sequence[StoredFace], embeddings: NDArray[np.float32]
    ) -> Sequence[str]:
        """Add embeddings of one of the two models to templates that have none of it.

        Args:
            gallery_id: the gallery.
            contract: of that model.
            faces: the templates, as :meth:`gallery.migration.gaps.Gaps.list` lists them.
            embeddings: shape ``(n, dimension)``, of any length above zero.

        Returns:
            the ids of the templates that got one; those that are gone since, or got one, are left out.

        Raises:
            ContractMismatch: the contract is neither of the two.
            InvalidEmbedding: an embedding has another dimension, is not finite, or has a length of zero.
        """
        unit = normalized(embeddings, dimension=self._registry.dimensions[contract])
        with self._registry.changing(gallery_id) as opened:
            self._migrating(gallery_id)
            index = opened.index_for(contract)
            index.reserve(len(faces))
            ids = [face.key[1] for face in faces]
            added = self._store.second_embeddings.add(gallery_id, contract, ids, unit)
            if len(added):
                index.add(added)
        return added.template_ids

    def gaps_of_picture(self, gallery_id: str, picture_sha256: str, *, subject_id: str = "") -> Sequence[Gap]:
        """List the templates of a picture that miss an embedding, at most :data:`MAX_FACES`.

        Args:
            gallery_id: the gallery.
            picture_sha256: hexadecimal digest of the picture.
            subject_id: only templates of this subject; empty for all.

        Raises:
            MigrationEnding: the migration is ending.
            ModelNotLoaded: a model that an embedding is missing of is not loaded.
        """
        gallery, _ = self._migrating(gallery_id)
        found = self.gaps.list(
            gallery_id, after=BEFORE_ALL, limit=MAX_FACES, picture_sha256=picture_sha256, subject_id=subject_id
        )
        for gap in found:
            self.need_loaded(gallery, gap.contract)
        return found

    def update(self, gallery_id: str, *, threshold: float | None = None, shadow_share: float | None = None) -> Gallery:
        """Change the threshold of the model that does not search, or the share of identifications of both.

        Raises:
            MigrationEnding: the migration is ending.
            ModelNotLoaded: a share above 0 is to be searched, and one of the models is not loaded.
        """
        with self._registry.changing(gallery_id) as opened:
            gallery, migration = self._migrating(gallery_id)
            if shadow_share:
                for model in (migration.source, migration.target):
                    self.need_loaded(gallery, model.contract)
            if threshold is not None:
                chosen = ThresholdSettings(rounded_threshold(threshold), ThresholdSource.CALLER)
                migration = migration.with_other(replace(chosen, calibration=migration.other.calibration))
            if shadow_share is not None:
                migration = replace(migration, shadow_share=shadow_share)
            return self._change(opened, gallery, GalleryChange(migration=migration))

    def shadowing(self, gallery_id: str) -> Shadowing | None:
        """Return how searches of a gallery are compared with the other model; asks the store as often as a search.

        ``None`` if they cannot be: the gallery is not being migrated, or one of the models is not loaded.
        """
        settings = self._registry.find(gallery_id).settings
        is_loaded = self._registry.dimensions.keys() >= settings.contracts.keys()
        return Shadowing.of(settings) if is_loaded else None

    def roles(self, gallery_id: str) -> ModelRoles:
        """Return which of the models of a migration searches.

        Raises:
            MigrationEnding: the migration is ending.
        """
        gallery, _ = self._migrating(gallery_id)
        found = Shadowing.of(SearchSettings.of(gallery))
        assert found is not None  # noqa: S101 - it is being migrated
        return found.roles

    def watch(
        self, shown: Callable[[str, ModelRoles | None], None], gone: Callable[[str, Collection[str]], None]
    ) -> None:
        """Tell somebody of everything that ends the comparison of two models, or that it must forget.

        Args:
            shown: told a gallery and its models, maybe the same as before; ``None`` if it is not being migrated, or was
                deleted.
            gone: told a gallery and subjects that were deleted, were merged into others, or have expired.
        """

        def settings_shown(gallery_id: str, settings: SearchSettings | None) -> None:
            found = None if settings is None else Shadowing.of(settings)
            shown(gallery_id, None if found is None else found.roles)

        self._registry.on_shown, self._registry.on_gone = settings_shown, gone

    def switch(
        self,
        gallery_id: str,
        *,
        allow_missing: bool = False,
        allow_default_threshold: bool = False,
        validate_only: bool = False,
    ) -> Gallery:
        """Let the new model search, with its own threshold.

        Raises:
            MigrationEnding: the migration is ending.
            AlreadySwitched: it searches already.
            ModelNotLoaded: it is not loaded.
            MigrationIncomplete: templates have no embedding of it, and ``allow_missing`` is not set.
            ThresholdNotChosen: nobody chose its threshold, and ``allow_default_threshold`` is not set.
        """
        with self._registry.changing(gallery_id) as opened:
            gallery, migration = self._migrating(gallery_id)
            if migration.is_switched(gallery.contract):
                raise AlreadySwitched(gallery_id, migration.target.called)
            self._check_can_search(opened, gallery, migration.target, allow_missing=allow_missing)
            if migration.other.source is ThresholdSource.DEFAULT and not allow_default_threshold:
                raise ThresholdNotChosen(gallery_id, migration.target.called, migration.other.threshold)
            return gallery if validate_only else self._searched_by(opened, gallery, migration, migration.target)

    def roll_back(self, gallery_id: str, *, allow_missing: bool = False) -> Gallery:
        """Let the old model search again, with its own threshold.

        Raises:
            MigrationEnding: the migration is ending.
            NotSwitched: it searches already.
            ModelNotLoaded: it is not loaded.
            MigrationIncomplete: templates have no embedding of it, and ``allow_missing`` is not set.
        """
        with self._registry.changing(gallery_id) as opened:
            gallery, migration = self._migrating(gallery_id)
            if not migration.is_switched(gallery.contract):
                raise NotSwitched(gallery_id, migration.source.called)
            self._check_can_search(opened, gallery, migration.source, allow_missing=allow_missing)
            return self._searched_by(opened, gallery, migration, migration.source)

    def finish(
        self,
        gallery_id: str,
        *,
        delete_missing: bool = False,
        delete_crops: bool = False,
        validate_only: bool = False,
    ) -> tuple[Gallery, int]:
        """End a migration that is switched: from now on the old model's embeddings are dropped by :meth:`drop`.

        Args:
            gallery_id: the gallery.
            delete_missing: :meth:`drop` deletes templates without an embedding of the new model.
            delete_crops: :meth:`drop` deletes the crops of all templates, too.
            validate_only: change nothing.

        Returns:
            the gallery, and the number of templates that are deleted, or would be.

        Raises:
            MigrationEnding: it is ending already.
            NotSwitched: the old model searches.
            MigrationIncomplete: there are such templates, and ``delete_missing`` is not set.
        """
        gallery, migration = self._migrating(gallery_id)
        if not migration.is_switched(gallery.contract):
            raise NotSwitched(gallery_id, migration.source.called)
        end = MigrationEnd.DROPPING_WITH_CROPS if delete_crops else MigrationEnd.DROPPING
        return self._end(gallery_id, migration.target, end, delete_missing=delete_missing, validate_only=validate_only)

    def cancel(self, gallery_id: str, *, delete_missing: bool = False) -> tuple[Gallery, int]:
        """End a migration that is not switched: from now on the new model's embeddings are dropped by :meth:`drop`.

        Args:
            gallery_id: the gallery.
            delete_missing: :meth:`drop` deletes templates without an embedding of the old model.

        Returns:
            the gallery, and the number of templates that are deleted.

        Raises:
            MigrationEnding: it is ending already.
            AlreadySwitched: the new model searches.
            MigrationIncomplete: there are such templates, and ``delete_missing`` is not set.
        """
        gallery, migration = self._migrating(gallery_id)
        if migration.is_switched(gallery.contract):
            raise AlreadySwitched(gallery_id, migration.target.called)
        end = MigrationEnd.DROPPING
        return self._end(gallery_id, migration.source, end, delete_missing=delete_missing, validate_only=False)

    def drop(self, gallery_id: str, *, limit: int = _AT_ONCE) -> bool:
        """Delete some templates or crops, or drop some embeddings, of a migration that ends; end it when none is left.

        Templates are deleted that have no embedding of the model that stays: the end was refused without leave for it.

        Returns:
            whether the migration has ended.
        """
        with erasing(self._store, self._registry, gallery_id) as opened:
            gallery = self._store.gallery(gallery_id)
            migration = gallery.migration
            if migration is None:
                return True
            if not migration.is_ending:
                return False
            index = opened.indexes.get(gallery.contract)
            may_miss = index is None or len(index) < gallery.template_count
            if may_miss and self._delete_missing(gallery):
                return False
            dropped, kept = migration.other_model(gallery.contract), migration.model(gallery.contract)
            second = self._store.second_embeddings
            deletes_crops = migration.end is MigrationEnd.DROPPING_WITH_CROPS
            if deletes_crops and second.delete_crops(gallery_id, limit=limit) == limit:
                return False
            if second.drop(gallery_id, dropped.contract, model=kept.sha256, limit=limit) == limit:
                return False
            # The index may have had one that has just expired; no template may be left that cannot be searched.
            if self._delete_missing(gallery):
                return False
            self._change(opened, gallery, GalleryChange(ends_migration=True))
            return True

    def need_loaded(self, gallery: Gallery, contract: str) -> None:
        """Check that the server has the model of one of the contracts of a migration; other galleries pass.

        Raises:
            ModelNotLoaded: it does not.
        """
        if gallery.migration is not None and contract not in self._registry.dimensions:
            raise ModelNotLoaded(gallery.gallery_id, gallery.migration.model(contract).called, self._loaded)

    def _end(
        self, gallery_id: str, kept: ModelVersion, end: MigrationEnd, *, delete_missing: bool, validate_only: bool
    ) -> tuple[Gallery, int]:
        with self._registry.changing(gallery_id) as opened:
            gallery, migration = self._migrating(gallery_id)
            if gallery.contract != kept.contract:
                raise AlreadySwitched(gallery_id, migration.model(gallery.contract).called)
            missing = sum(self._store.second_embeddings.count_missing(gallery_id, kept.contract))
            if missing and not delete_missing:
                raise MigrationIncomplete(gallery_id, kept.called, missing)
            if validate_only:
                return gallery, missing
            ending = replace(migration, end=end, shadow_share=0.0)
            return self._change(opened, gallery, GalleryChange(migration=ending)), missing

    def _delete_missing(self, gallery: Gallery) -> bool:
        """Delete some templates that have no embedding of the model that stays; return whether there were any."""
        faces = self._store.second_embeddings.missing(
            gallery.gallery_id, gallery.contract, after=BEFORE_ALL, limit=_DELETED_AT_ONCE
        )
        for subject_id, template_id in (face.key for face in faces):
            with suppress(TemplateNotFound):
                self._store.delete_template(gallery.gallery_id, subject_id, template_id)
        return bool(faces)

    def _searched_by(self, opened: OpenGallery, gallery: Gallery, migration: Migration, model: ModelVersion) -> Gallery:
        moment = self._registry.clock()
        change = GalleryChange(migration=replace(migration, switch_time=moment), contract=model.contract)
        changed = self._change(opened, gallery, change)
        # What searches look like is no longer comparable with what they looked like before.
        self._store.observations.begin_reference(opened.gallery_id, "", moment)
        for tell in self.on_switched:
            tell(opened.gallery_id)
        return changed

    def _check_can_search(
        self, opened: OpenGallery, gallery: Gallery, model: ModelVersion, *, allow_missing: bool
    ) -> None:
        self.need_loaded(gallery, model.contract)
        if allow_missing:
            return
        # An index in memory knows at once; a store would have to look at every template. A store's own index may lack
        # what other servers have just written.
        is_in_memory = math.isinf(opened.fresh_until)
        if is_in_memory and len(opened.index_for(model.contract)) >= gallery.template_count:
            return
        if missing := sum(self._store.second_embeddings.count_missing(gallery.gallery_id, model.contract)):
            raise MigrationIncomplete(gallery.gallery_id, model.called, missing)

    def _migrating(self, gallery_id: str) -> tuple[Gallery, Migration]:
        gallery = self._store.gallery(gallery_id)
        if gallery.migration is None:
            raise NoMigration(gallery_id)
        if gallery.migration.is_ending:
            raise MigrationEnding(gallery_id, gallery.migration.other_model(gallery.contract).called)
        return gallery, gallery.migration

    def _change(self, opened: OpenGallery, gallery: Gallery, change: GalleryChange) -> Gallery:
        """Store a change of a gallery that the caller holds and has just read, and let searches go by it.

        Raises:
            EtagMismatch: another process has changed the gallery since it was read.
        """
        changed = self._store.update_gallery(
            opened.gallery_id, change, etag=gallery.etag, new_etag=new_etag(), time=self._registry.clock()
        )
        self._registry.show(opened, changed)
        return changed

    def _check_can_start(self, gallery: Gallery, target: ModelVersion) -> None:
        if gallery.migration is not None:
            under_way = gallery.migration.target
            raise MigrationUnderWay(gallery.gallery_id, under_way.called, under_way.contract)
        if gallery.contract == target.contract:
            raise AlreadyMigrated(gallery.gallery_id, target.called)

    def _model(self, gallery: Gallery, wanted: str) -> ModelVersion:
        """Return the loaded model with a name, a contract, or the beginning of a digest.

        If both models have it, such as two files of one name, it is the one that the gallery does not have.
        """

        def is_meant(model: ModelVersion) -> bool:
            is_digest = len(wanted) >= MODEL_DIGITS and model.sha256.startswith(wanted.lower())
            return is_digest or wanted in (model.name, model.contract)

        found = sorted(filter(is_meant, self.models), key=lambda model: model.contract == gallery.contract)
        if not found:
            raise ModelNotLoaded(gallery.gallery_id, wanted, self._loaded)
        return found[0]

    @property
    def _loaded(self) -> list[str]:
        return [model.called for model in self.models]
