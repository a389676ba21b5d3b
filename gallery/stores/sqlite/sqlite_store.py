"""The SQLite store: the default store, and the system of record."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from gallery.encryption.master_keys import MasterKeySource
from gallery.encryption.values import SEALED_TEXT, CannotOpen
from gallery.errors import (
    DatabaseDamaged,
    GalleryNotEmpty,
    StorageBusy,
    StorageError,
    StorageUnavailable,
    SubjectNotFound,
    TemplateNotFound,
)
from gallery.etags import check_etag
from gallery.log import SILENT, Log
from gallery.records.distinct_pairs import Pair
from gallery.records.erasures import KEEP_ERASURES, ErasureCause
from gallery.records.expired import Expired, ExpiriesAhead, Expiry, PolicyEffect
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template
from gallery.stores.base import AddedTemplate, EnrollmentQuestion, EnrollmentRequest, EnrollmentState
from gallery.stores.columns import BadRow
from gallery.stores.sqlite.answered_requests import find_answer, requests_of
from gallery.stores.sqlite.bulk_import import SqliteImport, check_id_is_free, hide
from gallery.stores.sqlite.corrections.change_log import SqliteChangeLog
from gallery.stores.sqlite.corrections.distinct_pairs import delete_pair, read_pairs, write_pair
from gallery.stores.sqlite.erasure_records.ledger import ErasureLedger
from gallery.stores.sqlite.expiry import (
    delete_expired,
    effect_of,
    find_ahead,
    find_expired,
    find_expiries_of,
    has_terms,
    is_expired,
    set_clock,
)
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.inserts import (
    add_to_counts,
    face_rows,
    insert_gallery,
    insert_request,
    update_gallery,
    update_subject,
)
from gallery.stores.sqlite.migration.second_embeddings import SqliteSecondEmbeddings
from gallery.stores.sqlite.observations import SqliteObservations
from gallery.stores.sqlite.outcome_table import OutcomeTable
from gallery.stores.sqlite.removal import Removal, hidden_galleries
from gallery.stores.sqlite.rows import (
    GALLERY,
    SUBJECT,
    TEMPLATE,
    embedded_of,
    faces_of,
    find_gallery,
    find_subject,
    gallery_key_of,
    gallery_of,
    stored_keys,
    subject_key_of,
    subject_of,
    template_key_of,
    template_of,
)
from gallery.stores.sqlite.sealing.encryption import DatabaseEncryption
from gallery.stores.sqlite.sealing.sealed_values import Sealer
from gallery.stores.sqlite.template_pages import embedded_by_age, embedded_by_subject, rows_of_faces
from gallery.stores.sqlite.threshold_sources import infer_missing_sources
from gallery.times import Clock, now


class SqliteStore:
    """A store in one file that one process owns; see :class:`gallery.stores.base.Store` for what it promises.

    Times are stored as microseconds since 1970 in UTC, embeddings as little-endian float32, crops in a table of their
    own. What a dead process left of imports and deletions is removed soon after the file is opened.

    Args:
        path: the database file. It is created if it does not exist; its folder is not.
        check: read all of it first, and refuse it if it is damaged.
        patience: how long a deletion waits for another process that reads the file, such as a backup, before it
            reports that its traces are still there; seconds. They are erased once that process has finished.
        default_threshold: the server's default threshold, to infer once where the thresholds of galleries come from
            that older versions stored without their source; ``None`` if it is not known.
        clock: tells what has expired.
        keep_erasures: how long the records of erasures are kept.
        master_keys: where the master keys come from that encrypt the database; ``None`` if it is not encrypted. What is
            not encrypted yet is encrypted in the background.
        log: gets the progress of that.

    Attributes:
        database: the open database.

    Raises:
        StorageBusy: another process has the file open.
        SchemaTooNew: a newer version of this program wrote it.
        KeysUnusable: it is encrypted, and a key is missing or wrong. Nothing was changed.
        StorageFull: the disk is full.
        StorageUnavailable: it cannot be opened or created, is damaged, or is not a database of galleries.
    """

    def __init__(
        self,
        path: Path,
        *,
        check: bool = False,
        patience: float = 10.0,
        default_threshold: float | None = None,
        clock: Clock = now,
        keep_erasures: timedelta = KEEP_ERASURES,
        master_keys: MasterKeySource | None = None,
        log: Log = SILENT,
    ) -> None:
        self.database = SqliteDatabase(path, check=check)
        set_clock(self.database.connection, clock)
        self._patience = patience
        try:
            self._encryption = DatabaseEncryption(self.database, master_keys, log)
            self._opener = self._encryption.opener
            self._hide_destroyed()
            with self._reading() as connection:
                left = hidden_galleries(connection)
            if default_threshold is not None:
                with self._translating_bad_rows():
                    infer_missing_sources(self.database, default_threshold, self._opener)
            with suppress(StorageBusy):
                self.database.erase_traces(patience=0)
            self._erasures = ErasureLedger(self.database, left, keep=keep_erasures)
        except StorageError:
            self.database.close()
            raise
        self._outcomes = OutcomeTable(self._reading, self._writing, self._encryption)
        self._second_embeddings = SqliteSecondEmbeddings(
            self._reading,
            self._writing,
            partial(self._writing, erases=True),
            self._encryption,
            self.database.check_room,
        )
        self._removal = Removal(self.database, left, self._erasures, self._encryption.destroy)
        self._observations = SqliteObservations(self.database)
        self._changes = SqliteChangeLog(self._reading, self._writing, self._encryption)
        self._encryption.start()

    def create_gallery(self, gallery: Gallery) -> None:
        """See :meth:`gallery.stores.base.Store.create_gallery`."""
        if self._encryption.is_on:
            importing = self.begin_import(gallery)
            try:
                importing.commit()
            except BaseException:
                importing.abort()
                raise
            return
        with self._writing() as connection:
            check_id_is_free(connection, gallery.gallery_id)
            insert_gallery(connection, gallery, Sealer())

    def gallery(self, gallery_id: str) -> Gallery:
        """See :meth:`gallery.stores.base.Store.gallery`."""
        with self._reading() as connection:
            return find_gallery(connection, gallery_id, self._opener)

    def galleries(self, *, after: str, limit: int) -> list[Gallery]:
        """See :meth:`gallery.stores.base.Store.galleries`."""
        with self._reading() as connection:
            rows = connection.execute(GALLERY + "AND gallery_id > ? ORDER BY gallery_id LIMIT ?", (after, limit))
            return [gallery_of(row, self._opener) for row in rows]

    def update_gallery(
        self, gallery_id: str, change: GalleryChange, *, etag: str, new_etag: str, time: datetime
    ) -> Gallery:
        """See :meth:`gallery.stores.base.Store.update_gallery`."""
        with self._writing(erases=True) as connection:
            gallery = find_gallery(connection, gallery_id, self._opener)
            check_etag(gallery_id, current=gallery.etag, sent=etag)
            sealer = self._encryption.sealer_of(connection, gallery_key_of(connection, gallery_id))
            update_gallery(connection, change.apply(gallery, etag=new_etag, time=time), sealer)
            return find_gallery(connection, gallery_id, self._opener)

    def delete_gallery(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_gallery`. Its contents are removed by :meth:`scrub`."""
        with self._writing(erases=True) as connection:
            gallery = find_gallery(connection, gallery_id, self._opener)
            check_etag(gallery_id, current=gallery.etag, sent=etag)
            if gallery.subject_count and not force:
                raise GalleryNotEmpty(gallery_id, gallery.subject_count)
            key = gallery_key_of(connection, gallery_id)
            self._erasures.note_gallery(connection, gallery_id, key)
            hide(connection, key)
        self._removal.schedule(key)

    def subject(self, gallery_id: str, subject_id: str) -> Subject:
        """See :meth:`gallery.stores.base.Store.subject`."""
        with self._reading() as connection:
            return find_subject(connection, gallery_id, subject_id, self._opener)

    def subjects(self, gallery_id: str, *, after: str, limit: int) -> list[Subject]:
        """See :meth:`gallery.stores.base.Store.subjects`."""
        with self._reading() as connection:
            rows = connection.execute(
                SUBJECT + "AND gallery_key = ? AND subject_id > ? ORDER BY subject_id LIMIT ?",
                (gallery_key_of(connection, gallery_id), after, limit),
            )
            return [subject_of(row, self._opener) for row in rows]

    def update_subject(
        self, gallery_id: str, subject_id: str, change: SubjectChange, *, etag: str, new_etag: str, time: datetime
    ) -> Subject:
        """See :meth:`gallery.stores.base.Store.update_subject`."""
        with self._writing(erases=True) as connection:
            subject = find_subject(connection, gallery_id, subject_id, self._opener)
            check_etag(gallery_id, subject_id, current=subject.etag, sent=etag)
            changed = change.apply(subject, etag=new_etag, time=time)
            sealer = self._encryption.sealer_of(connection, gallery_key_of(connection, gallery_id))
            update_subject(connection, subject_key_of(connection, gallery_id, subject_id), changed, sealer)
            return changed

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str) -> int:
        """See :meth:`gallery.stores.base.Store.delete_subject`."""
        with self._writing(erases=True) as connection:
            subject = find_subject(connection, gallery_id, subject_id, self._opener)
            check_etag(gallery_id, subject_id, current=subject.etag, sent=etag)
            key = subject_key_of(connection, gallery_id, subject_id)
            self._erasures.note_subject(connection, ErasureCause.SUBJECT_DELETED, gallery_id, subject_id, key)
            # Also those that have expired, which the subject's count leaves out.
            templates = connection.execute("DELETE FROM templates WHERE subject_key = ?", (key,)).rowcount
            connection.execute("DELETE FROM subjects WHERE key = ?", (key,))
            add_to_counts(connection, gallery_key_of(connection, gallery_id), subjects=-1, templates=-templates)
            return subject.template_count

    def distinct_pairs(self, gallery_id: str) -> frozenset[Pair]:
        """See :meth:`gallery.stores.base.Store.distinct_pairs`."""
        with self._reading() as connection:
            return read_pairs(connection, gallery_key_of(connection, gallery_id))

    def set_distinct(self, gallery_id: str, one: str, other: str, *, is_distinct: bool, limit: int) -> None:
        """See :meth:`gallery.stores.base.Store.set_distinct`."""
        with self._writing(erases=not is_distinct) as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            keys = (subject_key_of(connection, gallery_id, one), subject_key_of(connection, gallery_id, other))
            if is_distinct:
                write_pair(connection, gallery_id, gallery_key, keys, limit=limit)
            else:
                delete_pair(connection, gallery_key, keys)

    def templates(self, gallery_id: str, subject_id: str, *, after: str, limit: int) -> list[Template]:
        """See :meth:`gallery.stores.base.Store.templates`."""
        with self._reading() as connection:
            rows = connection.execute(
                TEMPLATE + "AND subject_key = ? AND template_id > ? ORDER BY template_id LIMIT ?",
                (subject_key_of(connection, gallery_id, subject_id), after, limit),
            )
            return [template_of(row, self._opener) for row in rows]

    def templates_of_picture(self, gallery_id: str, subject_id: str, picture_sha256: str) -> list[Template]:
        """See :meth:`gallery.stores.base.Store.templates_of_picture`."""
        with self._reading() as connection:
            rows = connection.execute(
                TEMPLATE + "AND subject_key = ? AND picture_sha256 IN (?, ?) ORDER BY template_id",
                (subject_key_of(connection, gallery_id, subject_id), picture_sha256, SEALED_TEXT),
            )
            found = [template_of(row, self._opener) for row in rows]
            return [template for template in found if template.picture_sha256 == picture_sha256]

    def enrollment_states(self, gallery_id: str, asked: Sequence[EnrollmentQuestion]) -> list[EnrollmentState]:
        """See :meth:`gallery.stores.base.Store.enrollment_states`."""
        return [self._enrollment_state(gallery_id, each) for each in asked]

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """See :meth:`gallery.stores.base.Store.template_of_request`."""
        with self._reading() as connection:
            return find_answer(connection, gallery_key_of(connection, gallery_id), request_id, self._opener)

    def add_templates(
        self,
        gallery_id: str,
        added: Sequence[AddedTemplate],
        *,
        contract: str = "",  # noqa: ARG002 - the gallery's: no other process writes
    ) -> None:
        """See :meth:`gallery.stores.base.Store.add_templates`."""
        for each in added:
            if each.new_subject is not None:
                self._delete_if_expired(gallery_id, each.new_subject.subject_id)
        with self._writing() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            sealer = self._encryption.sealer_of(connection, gallery_key)
            keys = stored_keys(connection, gallery_key, self._opener, create=True)
            faces = [
                StoredFace(
                    each.new_subject or find_subject(connection, gallery_id, each.template.subject_id, self._opener),
                    each.template,
                    each.embedding,
                    each.crop,
                    each.other,
                )
                for each in added
            ]
            subjects = face_rows(gallery_key, faces, sealer, keys).insert(connection)
            add_to_counts(connection, gallery_key, subjects=subjects, templates=len(faces))
            for each in added:
                if each.request is not None:
                    key = _template_key(connection, each.template)
                    insert_request(connection, gallery_key, each.request, key, sealer)

    def add_request(self, template: Template, request: EnrollmentRequest) -> None:
        """See :meth:`gallery.stores.base.Store.add_request`."""
        with self._writing() as connection:
            gallery_key = gallery_key_of(connection, template.gallery_id)
            sealer = self._encryption.sealer_of(connection, gallery_key)
            insert_request(connection, gallery_key, request, _template_key(connection, template), sealer)

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_template`."""
        with self._writing(erases=True) as connection:
            wanted = (subject_key_of(connection, gallery_id, subject_id), template_id)
            if connection.execute(TEMPLATE + "AND subject_key = ? AND template_id = ?", wanted).fetchone() is None:
                raise TemplateNotFound(gallery_id, subject_id, template_id)
            key = template_key_of(connection, gallery_id, subject_id, template_id)
            self._erasures.note_template(connection, ErasureCause.TEMPLATE_DELETED, gallery_id, subject_id, key)
            connection.execute("DELETE FROM templates WHERE key = ?", (key,))
            add_to_counts(connection, gallery_key_of(connection, gallery_id), templates=-1)

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int, contract: str = "") -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.Store.embedded_templates`; by the time they were added."""
        with self._reading() as connection:
            after_key = self._key_after(connection, gallery_id, after)
            rows = embedded_by_age(
                connection, gallery_key_of(connection, gallery_id), self._opener, contract, after=after_key, limit=limit
            )
        with self._translating_bad_rows():
            return embedded_of(rows, self._opener)

    def embedded_by_subject(
        self, gallery_id: str, *, after: tuple[str, str], limit: int, contract: str = ""
    ) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.Store.embedded_by_subject`."""
        with self._reading() as connection:
            rows = embedded_by_subject(
                connection, gallery_key_of(connection, gallery_id), self._opener, contract, after=after, limit=limit
            )
        with self._translating_bad_rows():
            return embedded_of(rows, self._opener)

    def faces(self, gallery_id: str, *, after: tuple[str, str], limit: int) -> list[StoredFace]:
        """See :meth:`gallery.stores.base.Store.faces`."""
        with self._reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            keys = stored_keys(connection, gallery_key, self._opener)
            rows = rows_of_faces(connection, gallery_key, after=after, limit=limit)
        with self._translating_bad_rows():
            return faces_of(rows, self._opener, keys)

    def requests_of_template(self, gallery_id: str, template_id: str) -> list[str]:
        """See :meth:`gallery.stores.base.Store.requests_of_template`."""
        with self._reading() as connection:
            return requests_of(connection, gallery_key_of(connection, gallery_id), template_id)

    def begin_import(self, gallery: Gallery) -> SqliteImport:
        """See :meth:`gallery.stores.base.Store.begin_import`."""
        with self._reading() as connection:
            check_id_is_free(connection, gallery.gallery_id)
        sealer = self._encryption.new_sealer()
        return SqliteImport(
            self.database,
            gallery,
            self._removal.schedule,
            sealer=sealer,
            opener=self._encryption.opener,
            keep_key=self._encryption.keep,
        )

    def has_terms(self, gallery_id: str) -> bool:
        """See :meth:`gallery.stores.base.Store.has_terms`."""
        with self._reading() as connection:
            return has_terms(connection, gallery_key_of(connection, gallery_id))

    def expiries_ahead(self, gallery_id: str, *, limit: int) -> ExpiriesAhead:
        """See :meth:`gallery.stores.base.Store.expiries_ahead`."""
        with self._reading() as connection:
            return find_ahead(connection, gallery_key_of(connection, gallery_id), limit=limit)

    def expiries_of(self, gallery_id: str, subject_ids: Collection[str]) -> list[Expiry]:
        """See :meth:`gallery.stores.base.Store.expiries_of`."""
        with self._reading() as connection:
            return find_expiries_of(connection, gallery_key_of(connection, gallery_id), subject_ids)

    def expired(self, gallery_id: str, *, limit: int) -> Expired:
        """See :meth:`gallery.stores.base.Store.expired`."""
        with self._reading() as connection:
            return find_expired(connection, gallery_key_of(connection, gallery_id), limit=limit)

    def delete_expired(self, gallery_id: str, expired: Expired) -> None:
        """See :meth:`gallery.stores.base.Store.delete_expired`."""
        with self._writing(erases=True) as connection:
            key = gallery_key_of(connection, gallery_id)
            self._erasures.note_expired(connection, gallery_id, key, expired)
            delete_expired(connection, key, expired)
        self._erasures.release()  # it has left the index before, and who deletes it may not scrub

    def effect_of(self, gallery_id: str, policy: GalleryPolicy) -> PolicyEffect:
        """See :meth:`gallery.stores.base.Store.effect_of`."""
        with self._reading() as connection:
            return effect_of(connection, gallery_key_of(connection, gallery_id), policy)

    def index(self, gallery: Gallery, *, dimension: int, contract: str = "") -> None:
        """Return ``None``: the process keeps an index in memory."""

    @property
    def feed(self) -> None:
        """Always ``None``: no other process changes the file."""

    @property
    def changes(self) -> SqliteChangeLog:
        """See :meth:`gallery.stores.base.Store.changes`."""
        return self._changes

    def scrub(self) -> None:
        """See :meth:`gallery.stores.base.Store.scrub`; slow if this thread has deleted a large gallery.

        Traces of a gallery that another thread deletes stay until that thread's call returns.

        Raises:
            StorageBusy: another process, such as a backup, read the file for longer than the store's patience.
        """
        try:
            self._removal.run()
        finally:
            self._erasures.release()
            self.database.erase_traces(patience=self._patience)
            self._erasures.settle()

    @property
    def second_embeddings(self) -> SqliteSecondEmbeddings:
        """See :meth:`gallery.stores.base.Store.second_embeddings`."""
        return self._second_embeddings

    @property
    def erasures(self) -> ErasureLedger:
        """See :meth:`gallery.stores.base.Store.erasures`."""
        return self._erasures

    @property
    def outcomes(self) -> OutcomeTable:
        """See :meth:`gallery.stores.base.Store.outcomes`."""
        return self._outcomes

    @property
    def observations(self) -> SqliteObservations:
        """See :meth:`gallery.stores.base.Store.observations`."""
        return self._observations

    def check(self) -> None:
        """See :meth:`gallery.stores.base.Store.check`: the files are still those that were opened."""
        self.database.check_files()
        self._encryption.check()

    def close(self) -> None:
        """See :meth:`gallery.stores.base.Store.close`."""
        self._encryption.close()
        self._erasures.close()
        with suppress(StorageError):
            self.database.erase_traces(patience=0)
        self.database.close()

    def _enrollment_state(self, gallery_id: str, asked: EnrollmentQuestion) -> EnrollmentState:
        try:
            subject = self.subject(gallery_id, asked.subject_id)
        except SubjectNotFound:
            subject = None
        return EnrollmentState(
            subject,
            self.templates_of_picture(gallery_id, asked.subject_id, asked.picture_sha256) if subject else (),
            self.template_of_request(gallery_id, asked.request_id) if asked.request_id else None,
        )

    def _delete_if_expired(self, gallery_id: str, subject_id: str) -> None:
        """Delete a subject that has expired, so that a new one can have its id."""
        with self._reading() as connection:
            if not is_expired(connection, gallery_key_of(connection, gallery_id), subject_id):
                return
        self.delete_expired(gallery_id, Expired((subject_id,), ()))

    def _hide_destroyed(self) -> None:
        """Hide galleries that nobody can decrypt any more, so that they are removed."""
        with self._reading() as connection:
            destroyed = self._encryption.destroyed(connection)
        if destroyed:
            with self._writing(erases=True) as connection:
                for key in destroyed:
                    hide(connection, key)

    def _key_after(self, connection: sqlite3.Connection, gallery_id: str, after: str) -> int:
        if not after:
            return 0
        try:
            return template_key_of(connection, gallery_id, "", after)
        except TemplateNotFound as error:
            raise StorageUnavailable(f"{self.database.path}: template {after} was deleted, or is damaged") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._translating_bad_rows(), self.database.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self, *, erases: bool = False) -> Iterator[sqlite3.Connection]:
        with self._translating_bad_rows(), self.database.writing(erases=erases) as connection:
            yield connection

    @contextmanager
    def _translating_bad_rows(self) -> Iterator[None]:
        try:
            yield
        except (BadRow, CannotOpen) as error:
            raise DatabaseDamaged(str(self.database.path), str(error)) from error


def _template_key(connection: sqlite3.Connection, template: Template) -> int:
    return template_key_of(connection, template.gallery_id, template.subject_id, template.template_id)
