"""The templates of a gallery that is being migrated that have an embedding of only one of the two models."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from gallery.errors import NoMigration
from gallery.opened.registry import GalleryRegistry
from gallery.records.galleries import Gallery
from gallery.records.migrations import Migration
from gallery.records.templates import StoredFace
from gallery.stores.base import Store

BEFORE_ALL = ("", "")
"""Before the first subject and template."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A template without an embedding of one of the two models.

    Attributes:
        contract: the contract of that model.
        face: the template, its subject and its crop, without embeddings.
    """

    contract: str
    face: StoredFace


class Gaps:
    """Lists and counts the templates that miss an embedding: a template misses at most one of the two.

    Every method may raise :class:`gallery.errors.GalleryNotFound` and :class:`gallery.errors.StorageError`.

    Args:
        store: where everything is stored.
        registry: the open galleries.
    """

    def __init__(self, store: Store, registry: GalleryRegistry) -> None:
        self._store = store
        self._registry = registry

    def list(
        self, gallery_id: str, *, after: tuple[str, str], limit: int, picture_sha256: str = "", subject_id: str = ""
    ) -> Sequence[Gap]:
        """List gaps by subject id, then template id, after the ids of both; none if the migration ends.

        Args:
            gallery_id: the gallery.
            after: a subject id and a template id; they need not exist.
            limit: the most gaps.
            picture_sha256: only those of this picture; empty for all.
            subject_id: only those of this subject; empty for all.

        Raises:
            NoMigration: the gallery is not being migrated.
        """
        found = [
            Gap(contract, face)
            for contract in self._contracts(self._migrating(gallery_id))
            for face in self._store.second_embeddings.missing(
                gallery_id, contract, after=after, limit=limit, picture_sha256=picture_sha256, subject_id=subject_id
            )
        ]
        return sorted(found, key=lambda gap: gap.face.key)[:limit]

    def count(self, gallery_id: str) -> tuple[int, int]:
        """Count the gaps: those with a crop, and those without. It looks at every template.

        Raises:
            NoMigration: the gallery is not being migrated.
        """
        counts = [
            self._store.second_embeddings.count_missing(gallery_id, contract)
            for contract in self._contracts(self._migrating(gallery_id))
        ]
        return sum(with_crop for with_crop, _ in counts), sum(without for _, without in counts)

    def revision(self, gallery_id: str) -> Hashable:
        """Return a value that changes whenever the gaps may have changed; costs nothing."""
        return self._registry.find(gallery_id).revision

    def total(self, gallery: Gallery) -> int:
        """Return the number of gaps at once, by the size of the indexes; 0 if the migration ends."""
        if gallery.migration is None:
            return 0
        indexes = self._registry.find(gallery.gallery_id).indexes
        return sum(
            max(0, gallery.template_count - len(indexes[contract]))
            for contract in self._contracts(gallery.migration)
            if contract in indexes
        )

    def _contracts(self, migration: Migration) -> tuple[str, ...]:
        return () if migration.is_ending else (migration.source.contract, migration.target.contract)

    def _migrating(self, gallery_id: str) -> Migration:
        migration = self._store.gallery(gallery_id).migration
        if migration is None:
            raise NoMigration(gallery_id)
        return migration
