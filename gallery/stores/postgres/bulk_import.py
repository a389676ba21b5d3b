"""Filling a new gallery of the PostgreSQL store, by COPY."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from psycopg import errors

from gallery.errors import GalleryExists
from gallery.records.distinct_pairs import Pair
from gallery.records.galleries import Gallery
from gallery.records.templates import StoredFace
from gallery.stores.postgres.connection.database import Connection, PostgresDatabase
from gallery.stores.postgres.corrections.distinct_pairs import insert_pairs
from gallery.stores.postgres.inserts import (
    embedding_bytes,
    insert_gallery,
    show_gallery,
    subject_values,
    template_values,
)
from gallery.stores.postgres.keys import contract_key_of, model_key_of
from gallery.stores.postgres.notes import note_change
from gallery.stores.postgres.rows import find_gallery
from gallery.times import Clock, to_microseconds

_SUBJECTS = """
    COPY subjects (gallery_key, subject_id, display_name, create_time, update_time, etag, consent_basis,
        consent_reference, consent_time, expire_time) FROM STDIN (FORMAT BINARY)
"""
_SUBJECT_TYPES = ("int8", "text", "text", "int8", "int8", "text", "text", "text", "int8", "int8")
_KEYS_OF_SUBJECTS = "SELECT subject_id, key FROM subjects WHERE gallery_key = %s AND subject_id = ANY(%s)"
_NEW_KEYS = """
    SELECT nextval(pg_get_serial_sequence('templates', 'key')) FROM generate_series(1, %s)
"""
_TEMPLATES = """
    COPY templates (key, gallery_key, subject_key, template_id, picture_sha256, x1, y1, x2, y2, quality, create_time,
        expire_time, face_model, embedding_model) FROM STDIN (FORMAT BINARY)
"""
_TEMPLATE_TYPES = ("int8", "int8", "int8", "text", "text", *("float8",) * 5, "int8", "int8", "int4", "int4")
_EMBEDDINGS = "COPY embeddings (template_key, contract_key, embedding) FROM STDIN (FORMAT BINARY)"
_EMBEDDING_TYPES = ("int8", "int4", "bytea")
_CROPS = "COPY crops (template_key, png) FROM STDIN (FORMAT BINARY)"
_CROP_TYPES = ("int8", "bytea")


class PostgresImport:
    """A gallery that is being imported; see :class:`gallery.stores.base.GalleryImport`.

    It is one transaction: nobody sees anything before it is committed, and if this process dies, nothing is left.

    Args:
        database: the open database.
        gallery: the gallery; its counts are ignored.
        clock: tells the time.

    Raises:
        GalleryExists: the id is taken.
        StorageError: the database cannot be written.
    """

    def __init__(self, database: PostgresDatabase, gallery: Gallery, clock: Clock) -> None:
        self._database = database
        self._gallery_id = gallery.gallery_id
        self._clock = clock
        self._models: dict[str, int | None] = {}
        self._subjects: dict[str, int] = {}
        self._templates = 0
        self._is_finished = False
        with database.writing() as connection:
            # Not in the transaction of the import: others who need the same new keys would wait for its end.
            self._contracts = [contract_key_of(connection, each, create=True) for each in gallery.contracts]
            taken = "SELECT FROM galleries WHERE gallery_id = %s"
            if connection.execute(taken, (gallery.gallery_id,)).fetchone() is not None:
                raise GalleryExists(gallery.gallery_id)
        with ExitStack() as opening:
            self._connection: Connection = opening.enter_context(database.importing())
            self._key = insert_gallery(self._connection, gallery, is_hidden=True) or 0
            self._closing = opening.pop_all()

    def add(self, faces: Sequence[StoredFace]) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.add`. If it raises, only :meth:`abort` may follow."""
        self._check_unfinished()
        self._make_models(faces)
        with self._database.failures.translated():
            new = {face.subject.subject_id: face.subject for face in faces}
            new = {subject_id: subject for subject_id, subject in new.items() if subject_id not in self._subjects}
            self._copy(
                _SUBJECTS, _SUBJECT_TYPES, ((self._key, *subject_values(subject).values()) for subject in new.values())
            )
            rows = self._connection.execute(_KEYS_OF_SUBJECTS, (self._key, list(new)))
            self._subjects |= {str(subject_id): int(key) for subject_id, key in rows}
            self._add_templates([face for face in faces if face.template is not None])
            self._templates += sum(face.template is not None for face in faces)

    def add_distinct(self, pairs: Sequence[Pair]) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.add_distinct`."""
        self._check_unfinished()
        with self._database.failures.translated():
            insert_pairs(self._connection, self._key, pairs)

    def commit(self) -> Gallery:
        """See :meth:`gallery.stores.base.GalleryImport.commit`."""
        self._check_unfinished()
        moment = to_microseconds(self._clock())
        with self._closing, self._database.failures.translated():
            self._is_finished = True
            try:
                is_shown = show_gallery(self._connection, self._key, self._gallery_id)
            except errors.UniqueViolation as error:  # another one of its id was committed a moment ago
                raise GalleryExists(self._gallery_id) from error
            if not is_shown:
                raise GalleryExists(self._gallery_id)
            subjects, templates = len(self._subjects), self._templates
            note_change(self._connection, self._key, moment, subjects=subjects, templates=templates)
            gallery = find_gallery(self._connection, self._gallery_id, moment)
            self._connection.commit()
            return gallery

    def abort(self) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.abort`."""
        if not self._is_finished:
            self._is_finished = True
            self._closing.close()

    def _make_models(self, faces: Sequence[StoredFace]) -> None:
        templates = [face.template for face in faces if face.template is not None]
        used = {digest for each in templates for digest in (each.face_model, each.embedding_model)}
        if unknown := used - self._models.keys():
            with self._database.writing() as connection:
                self._models |= {digest: model_key_of(connection, digest, create=True) for digest in unknown}

    def _add_templates(self, faces: Sequence[StoredFace]) -> None:
        keys = [key for (key,) in self._connection.execute(_NEW_KEYS, (len(faces),))]
        templates, embeddings, crops = [], [], []
        for key, face in zip(keys, faces, strict=True):
            template = face.template
            if template is None:
                continue
            *columns, created, expires = template_values(template).values()
            models = self._models[template.face_model], self._models[template.embedding_model]
            owner = self._key, self._subjects[face.subject.subject_id]
            templates.append((key, *owner, *columns, created, expires, *models))
            both = zip(self._contracts, (face.embedding, face.other_embedding), strict=False)
            embeddings += [(key, contract, embedding_bytes(each)) for contract, each in both if each is not None]
            if face.crop is not None:
                crops.append((key, face.crop))
        self._copy(_TEMPLATES, _TEMPLATE_TYPES, templates)
        self._copy(_EMBEDDINGS, _EMBEDDING_TYPES, embeddings)
        self._copy(_CROPS, _CROP_TYPES, crops)

    def _copy(self, statement: str, types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def _check_unfinished(self) -> None:
        if self._is_finished:
            raise RuntimeError("the import is finished")
