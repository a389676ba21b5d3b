"""The rows of galleries in Milvus: created, changed and deleted."""

from __future__ import annotations

import random
import time as clock
from contextlib import suppress
from datetime import datetime, timedelta

from gallery.errors import GalleryExists, GalleryNotEmpty, GalleryNotFound, StorageBusy
from gallery.etags import check_etag
from gallery.records.galleries import Gallery, GalleryChange
from gallery.stores.milvus.connection import MilvusConnection, quoted
from gallery.stores.milvus.corrections.claims import Claims
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.locating.migration_rows import MigrationRows
from gallery.stores.milvus.migration.second_embeddings import MilvusSecondEmbeddings
from gallery.stores.milvus.removal import Removal
from gallery.stores.milvus.rows import contract_of, contracts_of, gallery_of, gallery_row, new_gallery_key
from gallery.stores.milvus.schema import Collections

_CLAIM = timedelta(minutes=1)
"""How long an id stays reserved for a process that claimed it and may have died."""
_ATTEMPTS = 8
_BACK_OFF_SECONDS = 1.0
_WORK = "migration"


class GalleryRows:
    """Creates, changes and deletes galleries.

    A migration begins, changes and ends at one server at a time, so that of two servers that begin one, one fails.

    Args:
        milvus: the connection.
        collections: its collections.
        locator: finds galleries.
        removal: removes their rows.
        migrations: reads and writes migrations.
        second_embeddings: removes what is left of a migration.
        claims: lets one server at a time change a migration.
        default_threshold: the server's default threshold; see :func:`gallery.stores.milvus.rows.gallery_of`.
    """

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        locator: GalleryLocator,
        removal: Removal,
        migrations: MigrationRows,
        second_embeddings: MilvusSecondEmbeddings,
        claims: Claims,
        *,
        default_threshold: float | None,
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._removal = removal
        self._migrations = migrations
        self._second_embeddings = second_embeddings
        self._claims = claims
        self._default_threshold = default_threshold

    def create(self, gallery: Gallery) -> None:
        """See :meth:`gallery.stores.base.Store.create_gallery`.

        Raises:
            StorageBusy: other processes keep claiming the id.
        """
        self.check_is_free(gallery.gallery_id)
        key = new_gallery_key()
        try:
            self.publish(gallery, key)
        except GalleryExists:
            self._removal.forget(key)
            raise

    def gallery(self, gallery_id: str) -> Gallery:
        """See :meth:`gallery.stores.base.Store.gallery`."""
        return self._counted(self._locator.find(gallery_id))

    def page(self, *, after: str, limit: int) -> list[Gallery]:
        """See :meth:`gallery.stores.base.Store.galleries`."""
        where, fields = f"id > {quoted(after)}", self._collections.gallery_fields
        found = []
        for row in self._milvus.first_page(self._collections.galleries, where, fields, limit=limit):
            with suppress(GalleryNotFound):  # it was deleted since the page was read
                found.append(self._counted(self._locator.of(row)))
        return found

    def update(self, gallery_id: str, change: GalleryChange, *, etag: str, new_etag: str, time: datetime) -> Gallery:
        """See :meth:`gallery.stores.base.Store.update_gallery`.

        Raises:
            StorageBusy: another server changes the migration, or works on one that begins or ends.
        """
        if change.migration is None and not change.ends_migration and change.contract is None:
            self._update(gallery_id, change, etag=etag, new_etag=new_etag, time=time)
        else:
            with self._claims.alone(self._locator.find(gallery_id), _WORK):
                self._update(gallery_id, change, etag=etag, new_etag=new_etag, time=time)
        return self.gallery(gallery_id)

    def delete(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_gallery`. Its contents are removed by :meth:`Removal.run`."""
        location = self._locator.find(gallery_id, strong=True)
        check_etag(gallery_id, current=location.row["etag"], sent=etag)
        subjects = self._locator.count_subjects(location, strong=True)
        if subjects and not force:
            raise GalleryNotEmpty(gallery_id, subjects)
        self._removal.note(location.key, location.contracts)
        self._milvus.delete(self._collections.galleries, [gallery_id])
        self._removal.schedule(location.key, location.contracts)
        self._locator.invalidate(gallery_id)

    def publish(self, gallery: Gallery, key: int) -> Gallery:
        """Make a hidden gallery visible; it may already have rows.

        A process notes first that it wants the id, then checks whether another process does, and then whether the
        gallery exists. Of several processes, all but at most one see another's note and back off. Another process's
        gallery is never overwritten.
        """
        for _ in range(_ATTEMPTS):
            began = clock.monotonic()
            self._removal.note(key, contracts_of(gallery), wanted=gallery.gallery_id)
            if not self._removal.others_want(gallery.gallery_id, key, within=_CLAIM):
                self.check_is_free(gallery.gallery_id)
                if clock.monotonic() - began > _CLAIM.total_seconds() / 2:
                    break
                self._write(gallery, key)
                self._removal.forget(key)
                return self.gallery(gallery.gallery_id)
            self._removal.note(key, contracts_of(gallery))
            clock.sleep(random.uniform(0, _BACK_OFF_SECONDS))  # noqa: S311 - not for security
        raise StorageBusy(f"other servers are creating a gallery {gallery.gallery_id!r}")

    def check_is_free(self, gallery_id: str) -> None:
        """Check that no gallery has an id.

        Raises:
            GalleryExists: one has.
        """
        if self._milvus.get(self._collections.galleries, [gallery_id], (), strong=True):
            raise GalleryExists(gallery_id)

    def _update(self, gallery_id: str, change: GalleryChange, *, etag: str, new_etag: str, time: datetime) -> None:
        location = self._locator.find(gallery_id, strong=True)
        before = self._gallery(location, subjects=0, templates=0)
        check_etag(gallery_id, current=before.etag, sent=etag)
        after = change.apply(before, etag=new_etag, time=time)
        if (before.migration is None) == (after.migration is None):
            self._write(after, location.key, before=location)
            return
        with self._second_embeddings.beginning_or_ending(location):
            if after.migration is not None:
                # A switch needs it, and it takes seconds to create.
                self._collections.ensure("reference_starts")
                # What another server wrote after an earlier migration had ended.
                self._second_embeddings.remove_all(location, contracts_of(after)[1])
            for contract in location.contracts[1:]:
                self._removal.note_dropped(location.key, contract)
            self._write(after, location.key, before=location)
            for contract in location.contracts[1:]:
                self._second_embeddings.remove_all(location, contract)

    def _counted(self, location: GalleryLocation) -> Gallery:
        subjects, templates = self._locator.count_subjects(location), self._locator.count_templates(location)
        return self._gallery(location, subjects=subjects, templates=templates)

    def _gallery(self, location: GalleryLocation, *, subjects: int, templates: int) -> Gallery:
        return gallery_of(
            location.row,
            location.migration,
            subjects=subjects,
            templates=templates,
            default_threshold=self._default_threshold,
        )

    def _write(self, gallery: Gallery, key: int, *, before: GalleryLocation | None = None) -> None:
        """Write the row of a gallery, after that of its migration if it has a new one."""
        known = "" if before is None else contract_of(before.row)[1]
        name = known if before is not None and gallery.migration == before.migration else ""
        if gallery.migration is not None and not name:
            name = self._migrations.write(key, gallery.migration, current=known)
        row = gallery_row(gallery, key, self._collections.gallery_fields, migration_row=name)
        self._milvus.upsert(self._collections.galleries, [row])
        self._locator.wrote(row)
