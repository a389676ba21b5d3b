"""Galleries of the SQLite store that nobody sees, because they are being filled."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Sequence

from gallery.errors import GalleryExists
from gallery.records.records import Gallery, StoredFace
from gallery.stores.sqlite.database import SqliteDatabase
from gallery.stores.sqlite.inserts import count, face_rows, insert_gallery
from gallery.stores.sqlite.rows import find_gallery

_WRITTEN_AT_ONCE = 500


class SqliteImport:
    """A gallery that is being filled; see :class:`gallery.stores.base.Import` for what it promises.

    Templates are committed some hundreds at a time, so that whoever enrols meanwhile does not wait for long. Until
    :meth:`commit` the gallery is hidden; what a process that died left hidden is removed by the next that opens the
    store.

    Args:
        database: where to.
        gallery: its counts say nothing here.
        discard: told the key of a hidden gallery that is not wanted any more.

    Raises:
        GalleryExists: the id is taken.
        StorageError: it cannot be written.
    """

    def __init__(self, database: SqliteDatabase, gallery: Gallery, discard: Callable[[int], None]) -> None:
        self._database = database
        self._gallery_id = gallery.gallery_id
        self._discard = discard
        with database.writing() as connection:
            need_free_id(connection, gallery.gallery_id)
            self._key = insert_gallery(connection, gallery, hidden_as=_unknown_id())
        self._is_over = False

    def add(self, faces: Sequence[StoredFace]) -> None:
        """See :meth:`gallery.stores.base.Import.add`. Where it raises, nothing but :meth:`abort` makes sense."""
        self._need_unfinished()
        for start in range(0, len(faces), _WRITTEN_AT_ONCE):
            rows = face_rows(self._key, faces[start : start + _WRITTEN_AT_ONCE])
            with self._database.writing() as connection:
                subjects = rows.insert(connection)
                count(connection, self._key, subjects=subjects, templates=len(rows.templates))

    def commit(self) -> Gallery:
        """See :meth:`gallery.stores.base.Import.commit`."""
        self._need_unfinished()
        with self._database.writing() as connection:
            need_free_id(connection, self._gallery_id)
            connection.execute(
                "UPDATE galleries SET gallery_id = ?, hidden = 0 WHERE key = ?", (self._gallery_id, self._key)
            )
            gallery = find_gallery(connection, self._gallery_id)
        self._is_over = True
        return gallery

    def abort(self) -> None:
        """See :meth:`gallery.stores.base.Import.abort`; nothing happens after :meth:`commit`, or the second time."""
        if not self._is_over:
            self._is_over = True
            self._discard(self._key)

    def _need_unfinished(self) -> None:
        if self._is_over:
            raise RuntimeError("the import is over")


def need_free_id(connection: sqlite3.Connection, gallery_id: str) -> None:
    """Make sure that no gallery has an id; :class:`GalleryExists` where one has."""
    if connection.execute("SELECT 1 FROM galleries WHERE gallery_id = ?", (gallery_id,)).fetchone():
        raise GalleryExists(gallery_id)


def hide(connection: sqlite3.Connection, gallery_key: int) -> None:
    """Take a gallery out of everybody's sight: its id is free, its rows are still there."""
    connection.execute(
        "UPDATE galleries SET gallery_id = ?, display_name = '', hidden = 1 WHERE key = ?", (_unknown_id(), gallery_key)
    )


def _unknown_id() -> str:
    return f"hidden {uuid.uuid4()}"
