"""Finds the rows of a gallery in Milvus."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gallery.errors import GalleryNotFound, StorageUnavailable
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.locating.expiry import ExpiryFilter
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.locating.migration_rows import MigrationRows
from gallery.stores.milvus.rows import contract_of
from gallery.stores.milvus.schema import Collections
from gallery.times import Clock

_SUBJECTS_AT_ONCE = 200
CACHE_SECONDS = 1.0
"""How long a search uses a gallery's location and template count before it reads them again."""
_WRITTEN_SECONDS = 0.5
"""How long a row that this process wrote is not read again. Milvus shows it after two time ticks at the latest, and a
read waits for that."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """A gallery, and the number of its templates under one contract."""

    location: GalleryLocation
    templates: int
    until: float


class GalleryLocator:
    """Finds galleries.

    Args:
        milvus: the connection.
        collections: its collections.
        clock: tells what has expired.
        migrations: reads migrations.
        threads: count; none of them does so itself.

    Attributes:
        expiry: tells the living from the expired.
    """

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        clock: Clock,
        migrations: MigrationRows,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self.expiry = ExpiryFilter(collections, clock)
        self._lock = threading.Lock()
        self._migrations = migrations
        self._threads = threads
        self._written: dict[str, tuple[Row, float]] = {}
        self._cache: dict[str, dict[str, _Cached]] = {}
        self._unchanged: dict[str, object] = {}

    def find(self, gallery_id: str, *, strong: bool = False) -> GalleryLocation:
        """Find a gallery.

        Raises:
            GalleryNotFound: it does not exist.
        """
        return self.of(self._row(gallery_id, strong=strong))

    def of(self, row: Row) -> GalleryLocation:
        """Return the location of a gallery's row.

        Raises:
            GalleryNotFound: it has been deleted since.
        """
        contract, migration_row = contract_of(row)
        templates = self._collections.find_templates(contract)
        if not migration_row:
            return GalleryLocation(row, row["gallery"], contract, templates)
        migration = self._migrations.read(row["gallery"], migration_row)
        if migration is None:
            return self._of_newer(row)
        others = self._collections.find_templates(migration.other_model(contract).contract)
        return GalleryLocation(row, row["gallery"], contract, templates, migration, others)

    def count_templates(self, location: GalleryLocation) -> int:
        """Count the templates of a gallery that have not expired."""
        (count,) = self.count_matching(location, ("",))
        return count

    def count_matching(self, location: GalleryLocation, wheres: Sequence[str], *, strong: bool = False) -> list[int]:
        """Count the templates of a gallery that have not expired and match an expression, for each expression."""
        living = self.expiry.templates(location)
        asked = [f"{living} and ({where})" if where else living for where in wheres]
        counts = self._count(location, asked, strong=strong)
        if location.listed and self._collections.has_expiry:
            rows = self._milvus.query(self._collections.subjects, self.expiry.expired_subjects(location), ("subject",))
            expired = [row["subject"] for row in rows]
            counts = [
                count - self.count_templates_of(location, expired, where)
                for count, where in zip(counts, asked, strict=True)
            ]
        return counts

    def count_templates_of(self, location: GalleryLocation, subject_ids: Sequence[str], where: str) -> int:
        """Count the templates of some subjects that match an expression."""
        return sum(
            self.count_rows(
                location, f"{where} and subject in {quoted_all(subject_ids[start : start + _SUBJECTS_AT_ONCE])}"
            )
            for start in range(0, len(subject_ids), _SUBJECTS_AT_ONCE)
        )

    def count_rows(self, location: GalleryLocation, where: str) -> int:
        """Count the templates that match an expression, each of them once."""
        (count,) = self._count(location, (where,), strong=False)
        return count

    def count_subjects(self, location: GalleryLocation, *, strong: bool = False) -> int:
        """Count the subjects of a gallery that have not expired."""
        return self._milvus.count(self._collections.subjects, self.expiry.subjects(location), strong=strong)

    def cached(self, gallery_id: str, contract: str = "") -> tuple[GalleryLocation, int]:
        """Return the location of a gallery's rows under a contract, and their count, which may be cached.

        They include changes of this process at once, and changes of others after :data:`CACHE_SECONDS`.

        Args:
            gallery_id: the gallery.
            contract: the contract; empty for the one that searches.

        Raises:
            GalleryNotFound: it does not exist.
            ContractMismatch: it has no rows of this contract.
        """
        cached = self._cache.get(gallery_id, {}).get(contract)
        if cached is None or time.monotonic() >= cached.until:
            until = time.monotonic() + CACHE_SECONDS
            with self._lock:
                self._cache.get(gallery_id, {}).pop(contract, None)
                unchanged = self._unchanged.setdefault(gallery_id, object())
            location = self.find(gallery_id).under(contract)
            cached = _Cached(location, self.count_templates(location), until)
            with self._lock:
                # If the gallery changed while it was read, the change may be missing: do not cache it.
                if self._unchanged.get(gallery_id) is unchanged:
                    self._cache.setdefault(gallery_id, {})[contract] = cached
        return cached.location, cached.templates

    def wrote(self, row: Row) -> None:
        """Take note of the row of a gallery that this process has just created or changed."""
        self.invalidate(row["id"])
        self._written[row["id"]] = row, time.monotonic() + _WRITTEN_SECONDS

    def invalidate(self, gallery_id: str) -> None:
        """Forget a gallery that this process has changed or deleted, or whose contents it has changed."""
        with self._lock:
            self._written.pop(gallery_id, None)
            self._cache.pop(gallery_id, None)
            self._unchanged.pop(gallery_id, None)

    def _count(self, location: GalleryLocation, wheres: Sequence[str], *, strong: bool) -> list[int]:
        """Count the templates that match an expression, each of them once, for each expression."""
        # Each strong read waits for earlier writes, so they run concurrently.
        counting = [
            [
                self._threads.submit(self._milvus.count, collection, f"{where}{once}", strong=strong)
                for collection, once in location.counted
            ]
            for where in wheres
        ]
        return [sum(each.result() for each in some) for some in counting]

    def _of_newer(self, row: Row) -> GalleryLocation:
        """Return the location of a gallery whose row was written anew since it was read."""
        newer = self._row(str(row["id"]), strong=True)
        if newer["contract"] == row["contract"]:
            raise StorageUnavailable(f"the migration of gallery {row['id']!r} is not in Milvus")
        return self.of(newer)

    def _row(self, gallery_id: str, *, strong: bool) -> Row:
        written, until = self._written.get(gallery_id, ({}, 0.0))
        if not strong and time.monotonic() < until:
            return written
        where = f"id == {quoted(gallery_id)}"
        rows = self._milvus.query(
            self._collections.galleries, where, ("id", *self._collections.gallery_fields), strong=strong
        )
        if strong:
            # Another process may have changed it since.
            self._written.pop(gallery_id, None)
        # The row with an empty id is the schema's version.
        if not gallery_id or not rows:
            raise GalleryNotFound(gallery_id)
        return rows[0]
