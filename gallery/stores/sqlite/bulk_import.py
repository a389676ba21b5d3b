"""Import of a gallery into the SQLite store; the gallery is hidden until it is committed."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Sequence

from gallery.errors import GalleryExists, StorageError
from gallery.records.distinct_pairs import Pair
from gallery.records.galleries import Gallery
from gallery.records.templates import StoredFace
from gallery.stores.sqlite.contract_keys import contract_keys
from gallery.stores.sqlite.corrections.distinct_pairs import insert_pairs
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.inserts import add_to_counts, face_rows, insert_gallery
from gallery.stores.sqlite.rows import find_gallery
from gallery.stores.sqlite.sealing.sealed_values import Opener, Sealer

_FACES_PER_TRANSACTION = 500
_ROW_BYTES = 1024
"""What a template takes in the log beside its embedding and crop, roughly, with its subject and the indexes."""


class SqliteImport:
    """A gallery that is being imported; see :class:`gallery.stores.base.GalleryImport` for what it promises.

    Templates are committed some hundreds at a time, so that concurrent enrolments do not wait long. The gallery is
    hidden until :meth:`commit`. If the process dies, the next process that opens the store removes it.

    Args:
        database: the database.
        gallery: the gallery; its counts are ignored.
        discard: called with the key of a hidden gallery that is to be removed.
        sealer: seals its values.
        opener: opens them.
        keep_key: puts the data key of the sealer into the key file.

    Raises:
        GalleryExists: the id is taken.
        StorageError: the database cannot be written.
    """

    def __init__(
        self,
        database: SqliteDatabase,
        gallery: Gallery,
        discard: Callable[[int], None],
        *,
        sealer: Sealer,
        opener: Opener,
        keep_key: Callable[[Sealer], None],
    ) -> None:
        self._database = database
        self._gallery_id = gallery.gallery_id
        self._discard = discard
        self._sealer = sealer
        self._opener = opener
        with database.writing() as connection:
            check_id_is_free(connection, gallery.gallery_id)
            self._key = insert_gallery(connection, gallery, sealer, hidden_as=_hidden_id())
            self._keys = contract_keys(connection, self._key, gallery.contract, gallery.migration, create=True)
        self._is_finished = False
        try:
            keep_key(sealer)
        except StorageError:
            self.abort()
            raise

    def add(self, faces: Sequence[StoredFace]) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.add`. If it raises, only :meth:`abort` may follow."""
        self._check_unfinished()
        for start in range(0, len(faces), _FACES_PER_TRANSACTION):
            some = faces[start : start + _FACES_PER_TRANSACTION]
            rows = face_rows(self._key, some, self._sealer, self._keys)
            self._database.check_room(sum(map(_bytes_of, some)))
            with self._database.writing() as connection:
                subjects = rows.insert(connection)
                add_to_counts(connection, self._key, subjects=subjects, templates=len(rows.templates))

    def add_distinct(self, pairs: Sequence[Pair]) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.add_distinct`."""
        self._check_unfinished()
        with self._database.writing() as connection:
            insert_pairs(connection, self._key, pairs)

    def commit(self) -> Gallery:
        """See :meth:`gallery.stores.base.GalleryImport.commit`."""
        self._check_unfinished()
        with self._database.writing() as connection:
            check_id_is_free(connection, self._gallery_id)
            connection.execute(
                "UPDATE galleries SET gallery_id = ?, hidden = 0 WHERE key = ?", (self._gallery_id, self._key)
            )
            gallery = find_gallery(connection, self._gallery_id, self._opener)
        self._is_finished = True
        return gallery

    def abort(self) -> None:
        """See :meth:`gallery.stores.base.GalleryImport.abort`."""
        if not self._is_finished:
            self._is_finished = True
            self._discard(self._key)

    def _check_unfinished(self) -> None:
        if self._is_finished:
            raise RuntimeError("the import is finished")


def check_id_is_free(connection: sqlite3.Connection, gallery_id: str) -> None:
    """Check that no gallery has an id.

    Raises:
        GalleryExists: a gallery has it.
    """
    if connection.execute("SELECT 1 FROM galleries WHERE gallery_id = ?", (gallery_id,)).fetchone():
        raise GalleryExists(gallery_id)


def hide(connection: sqlite3.Connection, gallery_key: int) -> None:
    """Hide a gallery: its id becomes free, while its rows stay."""
    connection.execute(
        "UPDATE galleries SET gallery_id = ?, display_name = '', hidden = 1 WHERE key = ?", (_hidden_id(), gallery_key)
    )


def _hidden_id() -> str:
    return f"hidden {uuid.uuid4()}"


def _bytes_of(face: StoredFace) -> int:
    embeddings = sum(each.nbytes for each in (face.embedding, face.other_embedding) if each is not None)
    return embeddings + len(face.crop or b"") + _ROW_BYTES
