"""Galleries in one SQLite file: the default store, and the system of record."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery.errors import (
    EtagMismatch,
    GalleryExists,
    GalleryNotEmpty,
    StorageError,
    StorageUnavailable,
    TemplateNotFound,
)
from gallery.records import Gallery, Subject, Template
from gallery.sqlite_files import connect, lock, storage_errors, truncate_wal
from gallery.sqlite_rows import (
    GALLERY,
    SUBJECT,
    TEMPLATE,
    find_gallery,
    find_subject,
    gallery_key_of,
    gallery_of,
    insert_request,
    insert_subject,
    microseconds,
    subject_key_of,
    subject_of,
    template_key_of,
    template_of,
)
from gallery.store import EmbeddedTemplate, Request

_UNIT_LENGTH_TOLERANCE = 1e-3


class SqliteStore:
    """A store in one file, owned by one process; see :class:`gallery.store.Store` for what it promises.

    All goes through one connection, one thread at a time: SQLite has one writer anyway, and searches do not
    come here. Times are stored as microseconds since 1970 in UTC, embeddings as little-endian float32.

    Args:
        path: the database file; made where it is missing, its folder is not.

    Raises:
        StorageBusy: another process has it open.
        SchemaTooNew: a newer version wrote it.
        StorageFull: there is no room to make it.
        StorageUnavailable: it cannot be opened or made, is damaged, or is not a database of galleries.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._needs_scrub = False
        self._owned: int | None = lock(path)
        try:
            self._connection = connect(path)
        except StorageError:
            self._disown()
            raise

    def create_gallery(self, gallery: Gallery) -> None:
        """See :meth:`gallery.store.Store.create_gallery`."""
        with self._writing() as connection:
            if connection.execute("SELECT 1 FROM galleries WHERE gallery_id = ?", (gallery.gallery_id,)).fetchone():
                raise GalleryExists(gallery.gallery_id)
            connection.execute(
                """INSERT INTO galleries
                (gallery_id, display_name, threshold, contract, create_time, update_time, etag) VALUES (?, ?,
                ?, ?, ?, ?, ?)""",
                (
                    gallery.gallery_id,
                    gallery.display_name,
                    gallery.threshold,
                    gallery.contract,
                    microseconds(gallery.create_time),
                    microseconds(gallery.update_time),
                    gallery.etag,
                ),
            )

    def gallery(self, gallery_id: str) -> Gallery:
        """See :meth:`gallery.store.Store.gallery`."""
        with self._reading() as connection:
            return find_gallery(connection, gallery_id)

    def galleries(self, *, after: str, limit: int) -> list[Gallery]:
        """See :meth:`gallery.store.Store.galleries`."""
        with self._reading() as connection:
            rows = connection.execute(GALLERY + "WHERE gallery_id > ? ORDER BY gallery_id LIMIT ?", (after, limit))
            return [gallery_of(row) for row in rows]

    def update_gallery(
        self,
        gallery_id: str,
        *,
        display_name: str | None,
        threshold: float | None,
        etag: str,
        new_etag: str,
        at: datetime,
    ) -> Gallery:
        """See :meth:`gallery.store.Store.update_gallery`."""
        with self._writing() as connection:
            _check_etag(gallery_id, "", expected=find_gallery(connection, gallery_id).etag, found=etag)
            connection.execute(
                """UPDATE galleries SET display_name = COALESCE(?, display_name),
                threshold = COALESCE(?, threshold), etag = ?, update_time = ? WHERE gallery_id = ?""",
                (display_name, threshold, new_etag, microseconds(at), gallery_id),
            )
            return find_gallery(connection, gallery_id)

    def delete_gallery(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """See :meth:`gallery.store.Store.delete_gallery`."""
        with self._writing(erases=True) as connection:
            gallery = find_gallery(connection, gallery_id)
            _check_etag(gallery_id, "", expected=gallery.etag, found=etag)
            if gallery.subject_count and not force:
                raise GalleryNotEmpty(gallery_id, gallery.subject_count)
            connection.execute("DELETE FROM galleries WHERE gallery_id = ?", (gallery_id,))

    def subject(self, gallery_id: str, subject_id: str) -> Subject:
        """See :meth:`gallery.store.Store.subject`."""
        with self._reading() as connection:
            return find_subject(connection, gallery_id, subject_id)

    def subjects(self, gallery_id: str, *, after: str, limit: int) -> list[Subject]:
        """See :meth:`gallery.store.Store.subjects`."""
        with self._reading() as connection:
            rows = connection.execute(
                SUBJECT + "WHERE gallery_key = ? AND subject_id > ? ORDER BY subject_id LIMIT ?",
                (gallery_key_of(connection, gallery_id), after, limit),
            )
            return [subject_of(row) for row in rows]

    def rename_subject(
        self, gallery_id: str, subject_id: str, *, display_name: str, etag: str, new_etag: str, at: datetime
    ) -> Subject:
        """See :meth:`gallery.store.Store.rename_subject`."""
        with self._writing(erases=True) as connection:
            subject = find_subject(connection, gallery_id, subject_id)
            _check_etag(gallery_id, subject_id, expected=subject.etag, found=etag)
            connection.execute(
                "UPDATE subjects SET display_name = ?, etag = ?, update_time = ? WHERE key = ?",
                (
                    display_name,
                    new_etag,
                    microseconds(at),
                    subject_key_of(connection, gallery_id, subject_id),
                ),
            )
            return find_subject(connection, gallery_id, subject_id)

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str) -> int:
        """See :meth:`gallery.store.Store.delete_subject`."""
        with self._writing(erases=True) as connection:
            subject = find_subject(connection, gallery_id, subject_id)
            _check_etag(gallery_id, subject_id, expected=subject.etag, found=etag)
            key = subject_key_of(connection, gallery_id, subject_id)
            connection.execute("DELETE FROM subjects WHERE key = ?", (key,))
            return subject.template_count

    def templates(self, gallery_id: str, subject_id: str, *, after: str, limit: int) -> list[Template]:
        """See :meth:`gallery.store.Store.templates`."""
        with self._reading() as connection:
            rows = connection.execute(
                TEMPLATE + "WHERE subject_key = ? AND template_id > ? ORDER BY template_id LIMIT ?",
                (subject_key_of(connection, gallery_id, subject_id), after, limit),
            )
            return [template_of(row) for row in rows]

    def templates_of_picture(self, gallery_id: str, subject_id: str, picture_sha256: str) -> list[Template]:
        """See :meth:`gallery.store.Store.templates_of_picture`."""
        with self._reading() as connection:
            rows = connection.execute(
                TEMPLATE + "WHERE subject_key = ? AND picture_sha256 = ? ORDER BY template_id",
                (subject_key_of(connection, gallery_id, subject_id), picture_sha256),
            )
            return [template_of(row) for row in rows]

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """See :meth:`gallery.store.Store.template_of_request`."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT template_key, digest FROM requests WHERE gallery_key = ? AND request_id = ?",
                (gallery_key_of(connection, gallery_id), request_id),
            ).fetchone()
            if found is None:
                return None
            template_key, digest = found
            row = connection.execute(TEMPLATE + "WHERE templates.key = ?", (template_key,)).fetchone()
            return template_of(row), digest

    def add_template(
        self,
        template: Template,
        embedding: NDArray[np.float32],
        *,
        new_subject: Subject | None,
        request: Request | None,
    ) -> None:
        """See :meth:`gallery.store.Store.add_template`."""
        with self._writing() as connection:
            gallery_key = gallery_key_of(connection, template.gallery_id)
            if new_subject is not None:
                insert_subject(connection, gallery_key, new_subject)
            subject_key = subject_key_of(connection, template.gallery_id, template.subject_id)
            template_key = connection.execute(
                """INSERT INTO templates (gallery_key, subject_key, template_id, picture_sha256,
                x1, y1, x2, y2, quality, create_time, embedding) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    gallery_key,
                    subject_key,
                    template.template_id,
                    template.picture_sha256,
                    *template.box,
                    template.quality,
                    microseconds(template.create_time),
                    embedding.astype("<f4").tobytes(),
                ),
            ).lastrowid
            if request is not None:
                insert_request(connection, gallery_key, request, template_key)

    def add_request(self, template: Template, request: Request) -> None:
        """See :meth:`gallery.store.Store.add_request`."""
        with self._writing() as connection:
            gallery_key = gallery_key_of(connection, template.gallery_id)
            insert_request(connection, gallery_key, request, template_key_of(connection, template))

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.store.Store.delete_template`."""
        with self._writing(erases=True) as connection:
            deleted = connection.execute(
                "DELETE FROM templates WHERE subject_key = ? AND template_id = ?",
                (subject_key_of(connection, gallery_id, subject_id), template_id),
            )
            if not deleted.rowcount:
                raise TemplateNotFound(gallery_id, subject_id, template_id)

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int) -> list[EmbeddedTemplate]:
        """See :meth:`gallery.store.Store.embedded_templates`.

        Raises:
            StorageUnavailable: an embedding is not as it was written.
        """
        with self._reading() as connection:
            rows = connection.execute(
                """SELECT subject_id, display_name, template_id, embedding
                FROM templates JOIN subjects ON subjects.key = subject_key
                WHERE templates.gallery_key = ? AND template_id > ? ORDER BY template_id LIMIT ?""",
                (gallery_key_of(connection, gallery_id), after, limit),
            ).fetchall()
        embeddings = self._embeddings([blob for *_, blob in rows])
        return [
            EmbeddedTemplate(subject_id, display_name, template_id, embedding)
            for (subject_id, display_name, template_id, _), embedding in zip(rows, embeddings, strict=True)
        ]

    def scrub(self) -> None:
        """See :meth:`gallery.store.Store.scrub`."""
        with self._reading() as connection:
            if self._needs_scrub:
                truncate_wal(connection, self._path)
                self._needs_scrub = False

    def close(self) -> None:
        """See :meth:`gallery.store.Store.close`."""
        with self._lock, storage_errors(self._path):
            self._connection.close()
            self._disown()

    def _disown(self) -> None:
        if self._owned is not None:
            os.close(self._owned)
            self._owned = None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, storage_errors(self._path):
            yield self._connection

    @contextmanager
    def _writing(self, *, erases: bool = False) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._needs_scrub |= erases

    def _embeddings(self, blobs: list[bytes]) -> NDArray[np.float32]:
        if not blobs:
            return np.empty((0, 0), np.float32)
        if len({len(blob) for blob in blobs}) > 1 or len(blobs[0]) % 4:
            raise StorageUnavailable(f"{self._path} is damaged: embeddings differ in length")
        embeddings = np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), -1).astype(np.float32)
        squares = np.square(embeddings.astype(np.float64)).sum(axis=1)
        # Told from the good side, which a NaN is not on.
        if not (np.abs(squares - 1.0) <= _UNIT_LENGTH_TOLERANCE).all():
            raise StorageUnavailable(f"{self._path} is damaged: an embedding is not of unit length")
        return embeddings


def _check_etag(gallery_id: str, subject_id: str, *, expected: str, found: str) -> None:
    if found and found != expected:
        raise EtagMismatch(gallery_id, subject_id, expected=expected, found=found)
