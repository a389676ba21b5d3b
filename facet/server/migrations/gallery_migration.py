"""The background work of one gallery's migration, in steps."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from facet.server.migrations.alike import AlikeCheck
from facet.server.migrations.crop_embedding import CropDamaged, NotEmbedded
from facet.server.migrations.rate import Rate
from gallery.errors import ContractMismatch, MigrationEnding, NoMigration
from gallery.galleries import Galleries
from gallery.migration.gaps import BEFORE_ALL, Gap
from gallery.migration.standing import GapReason, Standing
from gallery.records.galleries import Gallery
from gallery.records.migrations import Migration

_PAGE = 128
"""Templates that are read at once."""

_log = structlog.get_logger("facet.migrations")


class Embed(Protocol):
    """Embeds crops; see :class:`facet.server.migrations.crop_embedding.CropEmbedder`."""

    def embed(self, crop: bytes, contract: str) -> NDArray[np.float32]:
        """Embed an aligned face, a PNG, as a template."""


class GalleryMigration:
    """Makes the embeddings that templates of a gallery miss, and drops those of a migration that ends.

    It goes through the gaps of the gallery, again and again until a pass finds nothing to do. A crop that cannot be
    embedded is tried once.

    Args:
        galleries: the galleries.
        gallery_id: the gallery.
        migration_id: its migration.
        embed: embeds crops.
        why_not_loaded: why the server lacks a model; may be empty.

    Attributes:
        migration_id: its migration.
        failure: why the last step failed; empty if it did not. Whoever takes the steps sets it.
        seen: where it stood at the last step.
    """

    def __init__(
        self, galleries: Galleries, gallery_id: str, migration_id: str, embed: Embed, why_not_loaded: str = ""
    ) -> None:
        self._galleries = galleries
        self._gallery_id = gallery_id
        self.migration_id = migration_id
        self._embed = embed
        self._why_not_loaded = why_not_loaded
        self.failure = ""
        self.seen = Standing(0, 0, 0)
        self._problem = ""
        self._after = BEFORE_ALL
        self._page: list[Gap] = []
        self._failed: dict[str, GapReason] = {}
        self._failed_now: dict[str, GapReason] = {}
        self._without_crop = 0
        self._left = 0
        self._no_crops = self._not_loaded = self._made = 0
        self._settled: Hashable = None
        self._begun: Hashable = None
        self._alike: dict[str, AlikeCheck] = {}
        self._useless = ""
        self._rate = Rate()

    def step(self) -> bool:
        """Do a part of the work; returns whether there is more.

        Raises:
            GalleryNotFound: the gallery is gone.
            StorageError: the store cannot be read or written now.
            InferenceFailed: memory or threads are short.
            OSError: no process can be started that decodes crops.
            Stopping: the server stops.
        """
        gallery = self._galleries.get_gallery(self._gallery_id)
        migration = gallery.migration
        if migration is None or migration.migration_id != self.migration_id:
            return False
        self.seen = self.standing(gallery)
        if migration.is_ending:
            self._problem = ""
            return not self._galleries.migrations.drop(self._gallery_id)
        try:
            return self._embed_some(migration)
        except (ContractMismatch, MigrationEnding, NoMigration):  # it has ended meanwhile
            return True

    def standing(self, gallery: Gallery) -> Standing:
        """Return where the migration stands, without asking the store."""
        total = self._galleries.migrations.gaps.total(gallery)
        rate, problem = self._rate.per_second(), self.failure or self._problem
        known = min(total, self._without_crop + len(self._failed | self._failed_now))
        waiting = max(total - known, min(total, self._left))
        return Standing(max(0, gallery.template_count - total), waiting, total - waiting, rate, problem)

    def reason(self, gap: Gap) -> GapReason:
        """Return why a template misses an embedding."""
        if gap.face.crop is None:
            return GapReason.NO_CROP
        template_id = gap.face.key[1]
        return self._failed_now.get(template_id) or self._failed.get(template_id) or GapReason.WAITING

    def _embed_some(self, migration: Migration) -> bool:
        loaded = {model.contract for model in self._galleries.migrations.models}
        self._problem = self._useless or self._missing_models(migration, loaded)
        if self._useless:
            return False
        if not self._page:
            if self._after == BEFORE_ALL and not self._has_gaps():
                return False
            gaps = self._galleries.migrations.gaps.list(self._gallery_id, after=self._after, limit=_PAGE)
            if not gaps:
                return self._end_pass()
            self._after = gaps[-1].face.key
            self._page = [gap for gap in gaps if gap.contract in loaded and gap.face.crop is not None]
            self._no_crops += sum(gap.face.crop is None for gap in gaps)
            self._not_loaded += sum(gap.contract not in loaded and gap.face.crop is not None for gap in gaps)
        at_once = self._galleries.migrations.at_once
        taken = self._page[:at_once]
        self._fill(taken, migration)
        del self._page[:at_once]
        # A pass under way is not the last word, whatever else happens to the gaps meanwhile.
        self._left = max(1, self._left - sum(gap.face.key[1] not in self._failed for gap in taken))
        return True

    def _has_gaps(self) -> bool:
        """Begin a pass, unless the last one has left nothing that can be done."""
        gaps = self._galleries.migrations.gaps
        # Read first: a change while the gaps are counted is noticed the next time.
        revision = gaps.revision(self._gallery_id)
        if revision == self._settled:
            return False
        has_some = gaps.total(self._galleries.get_gallery(self._gallery_id)) > 0
        with_crop, self._without_crop = gaps.count(self._gallery_id) if has_some else (0, 0)
        self._no_crops = self._not_loaded = self._made = 0
        self._failed_now = {}
        self._begun = revision
        if with_crop == 0:
            self._settled = revision
            self._failed = {}
            self._left = 0
            return False
        self._left = max(1, with_crop - len(self._failed))
        return True

    def _end_pass(self) -> bool:
        self._after, self._failed = BEFORE_ALL, self._failed_now
        self._without_crop = self._no_crops  # Milvus may have counted crops that are deleted
        self._settled = None if self._made else self._begun
        if self._made:
            _log.info("embedded templates of a migration", gallery=self._gallery_id, count=self._made)
        else:
            self._left = self._not_loaded
        return self._made > 0

    def _fill(self, gaps: Sequence[Gap], migration: Migration) -> None:
        found: dict[str, list[tuple[Gap, NDArray[np.float32]]]] = {}
        begun = time.monotonic()
        for gap in gaps:
            embedding = self._embedded(gap)
            if embedding is None:
                continue
            check = self._alike.setdefault(gap.contract, AlikeCheck())
            if check.tells_nobody_apart(gap.face.key[0], gap.face.crop or b"", embedding):
                self._useless = f"{migration.model(gap.contract).called} embeds everybody alike: cancel the migration"
                self._problem = self._useless
                _log.error("a model of a migration embeds everybody alike", gallery=self._gallery_id)
                return
            found.setdefault(gap.contract, []).append((gap, embedding))
        for contract, made in found.items():
            faces = [gap.face for gap, _ in made]
            embeddings = np.stack([embedding for _, embedding in made])
            added = self._galleries.migrations.add_embeddings(self._gallery_id, contract, faces, embeddings)
            self._made += len(added)
            self._rate.note(len(added), time.monotonic() - begun)

    def _embedded(self, gap: Gap) -> NDArray[np.float32] | None:
        template_id = gap.face.key[1]
        if gap.face.crop is None:
            return None
        if template_id in self._failed:
            self._failed_now[template_id] = self._failed[template_id]
            return None
        try:
            return self._embed.embed(gap.face.crop, gap.contract)
        except CropDamaged as error:
            self._failed_now[template_id] = GapReason.CROP_DAMAGED
            why = str(error)
        except NotEmbedded:
            self._failed_now[template_id] = GapReason.NOT_EMBEDDED
            why = "the model's output has no length"
        _log.warning("cannot embed a crop", gallery=self._gallery_id, template=template_id, problem=why)
        return None

    def _missing_models(self, migration: Migration, loaded: set[str]) -> str:
        missing = [model.called for model in (migration.source, migration.target) if model.contract not in loaded]
        if not missing:
            return ""
        text = f"the server has no embedding model {missing[0]} loaded"
        return f"{text}: {self._why_not_loaded}" if self._why_not_loaded else text
