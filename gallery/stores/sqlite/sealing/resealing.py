"""Seals what a gallery holds under its newest data key, some rows at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gallery.encryption.keyring import Keyring
from gallery.encryption.values import SEALED_TEXT, DataKey, key_id_of, key_id_of_text
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.sealing.sealed_values import (
    ANSWER_KEY,
    CALIBRATION,
    CHANGE,
    CONSENT_REFERENCE,
    GALLERY_NAME,
    MIGRATION,
    OUTCOME_SOURCE,
    REQUEST_DIGEST,
    SUBJECT_NAME,
    Opener,
    Sealer,
)

ROWS_PER_TRANSACTION = 128
"""Other threads wait while they are sealed: some milliseconds, and more with crops."""

_SUBJECTS = """
    SELECT subject_id, key, display_name, consent_reference FROM subjects
    WHERE gallery_key = ? AND subject_id > ? ORDER BY subject_id LIMIT ?"""
_TEMPLATES = """
    SELECT templates.key, subject_id, template_id, picture_sha256, templates.embedding, png, second.embedding
    FROM templates JOIN subjects ON subjects.key = subject_key
        LEFT JOIN crops ON crops.template_key = templates.key
        LEFT JOIN second_embeddings AS second ON second.template_key = templates.key
    WHERE templates.gallery_key = ? AND templates.key > ? ORDER BY templates.key LIMIT ?"""
_REQUESTS = """
    SELECT request_id, digest FROM requests WHERE gallery_key = ? AND request_id > ? ORDER BY request_id LIMIT ?"""
_OUTCOMES = "SELECT key, nonce, source FROM outcomes WHERE gallery_key = ? AND key > ? ORDER BY key LIMIT ?"
_CHANGES = "SELECT change_id, text FROM changes WHERE gallery_key = ? AND change_id > ? ORDER BY change_id LIMIT ?"
_Rows = list[tuple[Any, ...]]


class GalleryGone(Exception):
    """The gallery was deleted in the meantime."""


class Resealing:
    """Seals a gallery's values that are plain, or sealed under an older data key. It may be interrupted at any point.

    Args:
        database: the database.
        keyring: the data keys.
        gallery_key: the gallery's key in the database.
        uid: the gallery's id in the key file.
    """

    def __init__(self, database: SqliteDatabase, keyring: Keyring, gallery_key: int, uid: str) -> None:
        self._database = database
        self._key: DataKey = keyring.newest(uid)
        self._sealer, self._opener = Sealer(uid, self._key), Opener(keyring)
        self._gallery_key = gallery_key
        self._uid = uid

    def run(self) -> Iterator[int]:
        """Seal everything; yields the number of templates that were looked at, after each transaction.

        Raises:
            GalleryGone: the gallery was deleted.
            CannotOpen: a value cannot be opened.
            StorageError: the database cannot be read or written.
        """
        for _ in self._in_batches(_REQUESTS, "", self._seal_requests):
            yield 0
        for _ in self._in_batches(_CHANGES, "", self._seal_changes):
            yield 0
        for _ in self._in_batches(_SUBJECTS, "", self._seal_subjects):
            yield 0
        for _ in self._in_batches(_OUTCOMES, 0, self._seal_outcomes):
            yield 0
        yield from self._in_batches(_TEMPLATES, 0, self._seal_templates)
        with self._changing() as connection:
            self._seal_gallery(connection)

    def _in_batches(
        self, query: str, after: str | int, seal: Callable[[sqlite3.Connection, _Rows], None]
    ) -> Iterator[int]:
        while True:
            with self._changing() as connection:
                rows = connection.execute(query, (self._gallery_key, after, ROWS_PER_TRANSACTION)).fetchall()
                seal(connection, rows)
            if not rows:
                return
            after = rows[-1][0]
            yield len(rows)

    def _seal_requests(self, connection: sqlite3.Connection, rows: _Rows) -> None:
        connection.executemany(
            "UPDATE requests SET digest = ? WHERE gallery_key = ? AND request_id = ?",
            [
                (self._resealed(digest, REQUEST_DIGEST, request_id), self._gallery_key, request_id)
                for request_id, digest in rows
                if not self._is_sealed(digest)
            ],
        )

    def _seal_changes(self, connection: sqlite3.Connection, rows: _Rows) -> None:
        connection.executemany(
            "UPDATE changes SET text = ? WHERE gallery_key = ? AND change_id = ?",
            [
                (self._resealed(text, CHANGE, change_id), self._gallery_key, change_id)
                for change_id, text in rows
                if not self._is_sealed(text)
            ],
        )

    def _seal_subjects(self, connection: sqlite3.Connection, rows: _Rows) -> None:
        connection.executemany(
            "UPDATE subjects SET display_name = ?, consent_reference = ? WHERE key = ?",
            [
                (
                    self._resealed(name, SUBJECT_NAME, subject_id),
                    self._resealed(reference, CONSENT_REFERENCE, subject_id),
                    key,
                )
                for subject_id, key, name, reference in rows
                if not (self._is_sealed(name) and self._is_sealed(reference))
            ],
        )

    def _seal_outcomes(self, connection: sqlite3.Connection, rows: _Rows) -> None:
        connection.executemany(
            "UPDATE outcomes SET source = ? WHERE key = ?",
            [
                (self._resealed(source, OUTCOME_SOURCE, nonce.hex()), key)
                for key, nonce, source in rows
                if not self._is_sealed(source)
            ],
        )

    def _seal_templates(self, connection: sqlite3.Connection, rows: _Rows) -> None:
        for key, *ids, picture, stored, png, second in rows:
            if picture == SEALED_TEXT and key_id_of(stored) == self._key.key_id:
                continue
            opened = self._opener.template(stored, picture, *ids)
            embedding, new_picture = self._sealer.template(*opened, *ids)
            connection.execute(
                "UPDATE templates SET embedding = ?, picture_sha256 = ? WHERE key = ?", (embedding, new_picture, key)
            )
            if (crop := self._opener.crop(png, picture, *ids)) is not None:
                connection.execute(
                    "UPDATE crops SET png = ? WHERE template_key = ?", (self._sealer.crop(crop, *ids), key)
                )
            if second is not None:
                plain = self._opener.second_embedding(second, *ids) if picture == SEALED_TEXT else second
                connection.execute(
                    "UPDATE second_embeddings SET embedding = ? WHERE template_key = ?",
                    (self._sealer.second_embedding(plain, *ids), key),
                )

    def _seal_gallery(self, connection: sqlite3.Connection) -> None:
        """Seal the gallery's own values, and note that everything is sealed."""
        name, calibration, answer_key, migration = connection.execute(
            "SELECT display_name, calibration, answer_key, migration FROM galleries WHERE key = ?",
            (self._gallery_key,),
        ).fetchone()
        connection.execute(
            """UPDATE galleries SET display_name = ?, calibration = ?, answer_key = ?, migration = ?, sealed_under = ?
            WHERE key = ?""",
            (
                self._resealed(name, GALLERY_NAME),
                self._resealed(calibration, CALIBRATION),
                self._resealed(answer_key, ANSWER_KEY),
                self._resealed(migration, MIGRATION),
                self._key.key_id.hex(),
                self._gallery_key,
            ),
        )

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._database.writing(erases=True) as connection:
            # A gallery that was created since may have the key of a deleted one.
            row = connection.execute(
                "SELECT data_keys FROM galleries WHERE key = ? AND NOT hidden", (self._gallery_key,)
            ).fetchone()
            if row != (self._uid,):
                raise GalleryGone
            yield connection

    def _is_sealed(self, text: str) -> bool:
        return not text or key_id_of_text(text) == self._key.key_id

    def _resealed(self, text: str, column: str, *ids: str) -> str:
        return text if self._is_sealed(text) else self._sealer.text(self._opener.text(text, column, *ids), column, *ids)
