"""Removal of hidden galleries from the SQLite store, some hundred rows at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from gallery.errors import StorageError, StorageFull
from gallery.stores.sqlite.erasure_records.ledger import ErasureLedger
from gallery.stores.sqlite.file.database import SqliteDatabase

ROWS_PER_TRANSACTION = 500
_DATA_KEYS = "SELECT data_keys FROM galleries WHERE key = ? AND hidden AND data_keys != ''"


class Removal:
    """The hidden galleries that are to be removed.

    A thread that schedules a removal waits for it in :meth:`run`, and for no other. The database's own thread removes
    those that no thread waits for.

    Args:
        database: the database.
        left: the keys of hidden galleries that an earlier process left; they count as scheduled by this thread.
        erasures: what is removed of deleted galleries is recorded there.
        destroy_keys: destroys the data keys of galleries, given their ids in the key file.
    """

    def __init__(
        self,
        database: SqliteDatabase,
        left: Iterable[int],
        erasures: ErasureLedger,
        destroy_keys: Callable[[Sequence[str]], None],
    ) -> None:
        self._database = database
        self._erasures = erasures
        self._destroy_keys = destroy_keys
        self._scheduled: set[_HiddenGallery] = set()
        for key in left:
            self.schedule(key)

    def schedule(self, gallery_key: int) -> None:
        """Schedule a hidden gallery for removal."""
        self._scheduled.add(_HiddenGallery(gallery_key))
        self._database.run_in_background(self._remove_idle)

    def run(self) -> None:
        """Remove what this thread has scheduled, and try once more what has failed before, also in other threads.

        Raises:
            StorageError: what this thread has scheduled cannot be removed now. It is left to the database's own thread.
        """
        for hidden in tuple(self._scheduled):
            if hidden.scheduled_by is None:
                with suppress(StorageError), hidden.removing:
                    self._remove(hidden)
            elif hidden.scheduled_by == threading.get_ident():
                try:
                    with hidden.removing:
                        self._remove(hidden)
                except StorageError:
                    # Later calls of this thread are not about it.
                    hidden.scheduled_by = None
                    self._database.run_in_background(self._remove_idle)
                    raise

    def _remove_idle(self) -> None:
        """Remove what no other thread is removing: waiting for one would keep this thread from the log."""
        failure = None
        for hidden in tuple(self._scheduled):
            if hidden.removing.acquire(blocking=False):
                try:
                    self._remove(hidden)
                except StorageError as error:
                    failure = error
                finally:
                    hidden.removing.release()
        if failure is not None:
            raise failure

    def _remove(self, hidden: _HiddenGallery) -> None:
        # If another thread has removed it, a gallery created since may have its key.
        if hidden in self._scheduled:
            remove(self._database, hidden.gallery_key, self._erasures, self._destroy_keys)
            self._scheduled.discard(hidden)


class _HiddenGallery:
    """A gallery to be removed; compared by identity, because a later gallery may get the same key."""

    def __init__(self, gallery_key: int) -> None:
        self.gallery_key = gallery_key
        self.scheduled_by: int | None = threading.get_ident()
        self.removing = threading.Lock()


def hidden_galleries(connection: sqlite3.Connection) -> list[int]:
    """Return the keys of all hidden galleries."""
    return [key for (key,) in connection.execute("SELECT key FROM galleries WHERE hidden")]


def remove(
    database: SqliteDatabase,
    gallery_key: int,
    erasures: ErasureLedger,
    destroy_keys: Callable[[Sequence[str]], None],
) -> None:
    """Remove a hidden gallery in several transactions; does nothing if it is not hidden.

    Its data keys are destroyed first, or last if the key file cannot be written yet; its rows are deleted anyway.

    Rows that are deleted need room in the log only. When it fills the disk, it is emptied; if it was empty before, the
    transactions get smaller.
    """
    with database.reading() as connection:
        uids = [uid for (uid,) in connection.execute(_DATA_KEYS, (gallery_key,)).fetchall()]
    with suppress(StorageError):
        destroy_keys(uids)
    rows = ROWS_PER_TRANSACTION
    for table in ("outcomes", "templates", "subjects", "observations"):
        some = f"""SELECT {table}.key FROM galleries JOIN {table} ON gallery_key = galleries.key
            WHERE galleries.key = ? AND hidden LIMIT ?"""  # noqa: S608 - one of the tables above
        deletion = f"DELETE FROM {table} WHERE key = ?"  # noqa: S608
        keys = [(gallery_key,)]
        log_is_empty = False
        while keys:
            try:
                with database.writing(erases=True) as connection:
                    keys = connection.execute(some, (gallery_key, rows)).fetchall()
                    if table == "templates":
                        erasures.removing(connection, gallery_key, [key for (key,) in keys])
                    connection.executemany(deletion, keys)
                log_is_empty = False
            except StorageFull:
                if log_is_empty and rows == 1:
                    raise
                rows = max(1, rows // 8) if log_is_empty else rows
                database.erase_traces(patience=0)
                log_is_empty = True
    destroy_keys(uids)
    try:
        _remove_gallery(database, gallery_key, uids)
    except StorageFull:
        database.erase_traces(patience=0)
        _remove_gallery(database, gallery_key, uids)
    erasures.removed(gallery_key)


def _remove_gallery(database: SqliteDatabase, gallery_key: int, uids: Sequence[str]) -> None:
    with database.writing(erases=True) as connection:
        if uids:
            connection.execute("UPDATE erasures SET key_destroyed = 1 WHERE gallery_key = ?", (gallery_key,))
        connection.execute("DELETE FROM galleries WHERE key = ? AND hidden", (gallery_key,))
