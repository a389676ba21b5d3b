"""Galleries in one SQLite file: the default store, and the system of record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery.calibration import serialization as calibration_json
from gallery.errors import (
    EtagMismatch,
    GalleryNotEmpty,
    StorageBusy,
    StorageError,
    StorageUnavailable,
    SubjectNotFound,
    TemplateNotFound,
)
from gallery.records.calibrations import Calibration
from gallery.records.records import EmbeddedTemplates, Gallery, StoredFace, Subject, Template
from gallery.stores.base import Known, Request
from gallery.stores.sqlite.bulk_import import SqliteImport, hide, need_free_id
from gallery.stores.sqlite.database import SqliteDatabase
from gallery.stores.sqlite.files import damaged
from gallery.stores.sqlite.inserts import count, face_rows, insert_gallery, insert_request
from gallery.stores.sqlite.removal import Removal, hidden_galleries
from gallery.stores.sqlite.rows import (
    EMBEDDED,
    FACE,
    GALLERY,
    SUBJECT,
    TEMPLATE,
    BadRow,
    embedded_of,
    faces_of,
    find_gallery,
    find_subject,
    gallery_key_of,
    gallery_of,
    microseconds,
    subject_key_of,
    subject_of,
    template_key_of,
    template_of,
)


class SqliteStore:
    """A store in one file, owned by one process; see :class:`gallery.stores.base.Store` for what it promises.

    Times are stored as microseconds since 1970 in UTC, embeddings as little-endian float32, crops in a table of their
    own. What a process that died left of imports and deletions is removed when the file is opened, a little later.

    Args:
        path: the database file; made where it is missing, its folder is not.
        check: read all of it first, and refuse one that is damaged.
        patience: how long a deletion waits for another process that reads the file, as a backup does, before it says
            that its traces are still there; seconds. They are erased when that process has finished.

    Raises:
        StorageBusy: another process has it open.
        SchemaTooNew: a newer version wrote it.
        StorageFull: there is no room to make it.
        StorageUnavailable: it cannot be opened or made, is damaged, or is not a database of galleries.
    """

    def __init__(self, path: Path, *, check: bool = False, patience: float = 10.0) -> None:
        self._database = SqliteDatabase(path, check=check)
        self._patience = patience
        try:
            with self._reading() as connection:
                left = hidden_galleries(connection)
            with suppress(StorageBusy):
                self._database.empty_log(patience=0)
        except StorageError:
            self._database.close()
            raise
        self._removal = Removal(self._database, left)

    def create_gallery(self, gallery: Gallery) -> None:
        """See :meth:`gallery.stores.base.Store.create_gallery`."""
        with self._writing() as connection:
            need_free_id(connection, gallery.gallery_id)
            insert_gallery(connection, gallery)

    def gallery(self, gallery_id: str) -> Gallery:
        """See :meth:`gallery.stores.base.Store.gallery`."""
        with self._reading() as connection:
            return find_gallery(connection, gallery_id)

    def galleries(self, *, after: str, limit: int) -> list[Gallery]:
        """See :meth:`gallery.stores.base.Store.galleries`."""
        with self._reading() as connection:
            rows = connection.execute(GALLERY + "AND gallery_id > ? ORDER BY gallery_id LIMIT ?", (after, limit))
            return [gallery_of(row) for row in rows]

    def update_gallery(
        self,
        gallery_id: str,
        *,
        display_name: str | None,
        threshold: float | None,
        mean_of_best: int | None,
        calibration: Calibration | None = None,
        etag: str,
        new_etag: str,
        at: datetime,
    ) -> Gallery:
        """See :meth:`gallery.stores.base.Store.update_gallery`."""
        with self._writing() as connection:
            _check_etag(gallery_id, "", expected=find_gallery(connection, gallery_id).etag, found=etag)
            written = calibration_json.to_text(calibration) if calibration else None
            connection.execute(
                """UPDATE galleries SET display_name = COALESCE(?, display_name),
                    threshold = COALESCE(?, threshold), mean_of_best = COALESCE(?, mean_of_best),
                    calibration = COALESCE(?, calibration), etag = ?, update_time = ? WHERE gallery_id = ?""",
                (display_name, threshold, mean_of_best, written, new_etag, microseconds(at), gallery_id),
            )
            return find_gallery(connection, gallery_id)

    def delete_gallery(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_gallery`. What was in it is removed by :meth:`scrub`."""
        with self._writing(erases=True) as connection:
            gallery = find_gallery(connection, gallery_id)
            _check_etag(gallery_id, "", expected=gallery.etag, found=etag)
            if gallery.subject_count and not force:
                raise GalleryNotEmpty(gallery_id, gallery.subject_count)
            key = gallery_key_of(connection, gallery_id)
            hide(connection, key)
        self._removal.put_down(key)

    def subject(self, gallery_id: str, subject_id: str) -> Subject:
        """See :meth:`gallery.stores.base.Store.subject`."""
        with self._reading() as connection:
            return find_subject(connection, gallery_id, subject_id)

    def subjects(self, gallery_id: str, *, after: str, limit: int) -> list[Subject]:
        """See :meth:`gallery.stores.base.Store.subjects`."""
        with self._reading() as connection:
            rows = connection.execute(
                SUBJECT + "WHERE gallery_key = ? AND subject_id > ? ORDER BY subject_id LIMIT ?",
                (gallery_key_of(connection, gallery_id), after, limit),
            )
            return [subject_of(row) for row in rows]

    def rename_subject(
        self, gallery_id: str, subject_id: str, *, display_name: str, etag: str, new_etag: str, at: datetime
    ) -> Subject:
        """See :meth:`gallery.stores.base.Store.rename_subject`."""
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
        """See :meth:`gallery.stores.base.Store.delete_subject`."""
        with self._writing(erases=True) as connection:
            subject = find_subject(connection, gallery_id, subject_id)
            _check_etag(gallery_id, subject_id, expected=subject.etag, found=etag)
            key = subject_key_of(connection, gallery_id, subject_id)
            connection.execute("DELETE FROM subjects WHERE key = ?", (key,))
            count(connection, gallery_key_of(connection, gallery_id), subjects=-1, templates=-subject.template_count)
            return subject.template_count

    def templates(self, gallery_id: str, subject_id: str, *, after: str, limit: int) -> list[Template]:
        """See :meth:`gallery.stores.base.Store.templates`."""
        with self._reading() as connection:
            rows = connection.execute(
                TEMPLATE + "WHERE subject_key = ? AND template_id > ? ORDER BY template_id LIMIT ?",
                (subject_key_of(connection, gallery_id, subject_id), after, limit),
            )
            return [template_of(row) for row in rows]

    def templates_of_picture(self, gallery_id: str, subject_id: str, picture_sha256: str) -> list[Template]:
        """See :meth:`gallery.stores.base.Store.templates_of_picture`."""
        with self._reading() as connection:
            rows = connection.execute(
                TEMPLATE + "WHERE subject_key = ? AND picture_sha256 = ? ORDER BY template_id",
                (subject_key_of(connection, gallery_id, subject_id), picture_sha256),
            )
            return [template_of(row) for row in rows]

    def known(self, gallery_id: str, subject_id: str, *, picture_sha256: str, request_id: str) -> Known:
        """See :meth:`gallery.stores.base.Store.known`."""
        try:
            subject = self.subject(gallery_id, subject_id)
        except SubjectNotFound:
            subject = None
        return Known(
            subject,
            self.templates_of_picture(gallery_id, subject_id, picture_sha256) if subject else (),
            self.template_of_request(gallery_id, request_id) if request_id else None,
        )

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """See :meth:`gallery.stores.base.Store.template_of_request`."""
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
        crop: bytes | None,
    ) -> None:
        """See :meth:`gallery.stores.base.Store.add_template`."""
        with self._writing() as connection:
            gallery_key = gallery_key_of(connection, template.gallery_id)
            subject = new_subject or find_subject(connection, template.gallery_id, template.subject_id)
            subjects = face_rows(gallery_key, [StoredFace(subject, template, embedding, crop)]).insert(connection)
            count(connection, gallery_key, subjects=subjects, templates=1)
            if request is not None:
                insert_request(connection, gallery_key, request, _key_of(connection, template))

    def add_request(self, template: Template, request: Request) -> None:
        """See :meth:`gallery.stores.base.Store.add_request`."""
        with self._writing() as connection:
            gallery_key = gallery_key_of(connection, template.gallery_id)
            insert_request(connection, gallery_key, request, _key_of(connection, template))

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_template`."""
        with self._writing(erases=True) as connection:
            deleted = connection.execute(
                "DELETE FROM templates WHERE subject_key = ? AND template_id = ?",
                (subject_key_of(connection, gallery_id, subject_id), template_id),
            )
            if not deleted.rowcount:
                raise TemplateNotFound(gallery_id, subject_id, template_id)
            count(connection, gallery_key_of(connection, gallery_id), templates=-1)

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.Store.embedded_templates`; in the order in which they were added."""
        with self._reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            after_key = self._key_after(connection, gallery_id, after)
            rows = connection.execute(
                EMBEDDED + "WHERE templates.gallery_key = ? AND templates.key > ? ORDER BY templates.key LIMIT ?",
                (gallery_key, after_key, limit),
            ).fetchall()
        with self._bad_rows():
            return embedded_of(rows)

    def faces(self, gallery_id: str, *, after: tuple[str, str], limit: int) -> list[StoredFace]:
        """See :meth:`gallery.stores.base.Store.faces`."""
        subject_id, template_id = after
        with self._reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            # First the rest of the subject that the page before ended in: each is found by an index of its own.
            rows = connection.execute(
                FACE
                + """WHERE subjects.gallery_key = ? AND subject_id = ? AND template_id > ?
                ORDER BY template_id LIMIT ?""",
                (gallery_key, subject_id, template_id, limit),
            ).fetchall()
            rows += connection.execute(
                FACE
                + """WHERE subjects.gallery_key = ? AND subject_id > ?
                ORDER BY subject_id, template_id LIMIT ?""",
                (gallery_key, subject_id, limit - len(rows)),
            ).fetchall()
        with self._bad_rows():
            return faces_of(rows)

    def begin_import(self, gallery: Gallery) -> SqliteImport:
        """See :meth:`gallery.stores.base.Store.begin_import`."""
        return SqliteImport(self._database, gallery, self._removal.put_down)

    def index(self, gallery: Gallery, *, dimension: int) -> None:
        """None: its one process keeps its own."""

    def scrub(self) -> None:
        """See :meth:`gallery.stores.base.Store.scrub`; takes long where this thread has deleted a large gallery.

        Of a gallery that another thread has deleted traces stay until that one's call is over.

        Raises:
            StorageBusy: another process, as a backup, read the file for longer than the store's patience.
        """
        self._removal.run()
        self._database.empty_log(patience=self._patience)

    def close(self) -> None:
        """See :meth:`gallery.stores.base.Store.close`."""
        self._database.close()

    def _key_after(self, connection: sqlite3.Connection, gallery_id: str, after: str) -> int:
        if not after:
            return 0
        try:
            return template_key_of(connection, gallery_id, "", after)
        except TemplateNotFound as error:
            raise StorageUnavailable(f"{self._database.path}: template {after} is gone, or damaged") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._bad_rows(), self._database.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self, *, erases: bool = False) -> Iterator[sqlite3.Connection]:
        with self._bad_rows(), self._database.writing(erases=erases) as connection:
            yield connection

    @contextmanager
    def _bad_rows(self) -> Iterator[None]:
        try:
            yield
        except BadRow as error:
            raise damaged(self._database.path, str(error)) from error


def _key_of(connection: sqlite3.Connection, template: Template) -> int:
    return template_key_of(connection, template.gallery_id, template.subject_id, template.template_id)


def _check_etag(gallery_id: str, subject_id: str, *, expected: str, found: str) -> None:
    if found and found != expected:
        raise EtagMismatch(gallery_id, subject_id, expected=expected, found=found)
