"""Removes galleries of the SQLite store that nobody sees any more, some hundred rows at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable

from gallery.errors import StorageError
from gallery.stores.sqlite.database import SqliteDatabase

_REMOVED_AT_ONCE = 500


class Removal:
    """The hidden galleries that are to be removed, each by one thread.

    Whoever puts one down waits for it in :meth:`run`, and for no other. The database's own thread removes what nobody
    does.

    Args:
        database: where they are.
        left: the keys of those that a process before has left; put down by the thread that makes this.
    """

    def __init__(self, database: SqliteDatabase, left: Iterable[int]) -> None:
        self._database = database
        self._unwanted: set[_Unwanted] = set()
        for key in left:
            self.put_down(key)

    def put_down(self, gallery_key: int) -> None:
        """Have a hidden gallery removed in time."""
        self._unwanted.add(_Unwanted(gallery_key))
        self._database.later(self._remove_idle)

    def run(self) -> None:
        """Remove what this thread has put down.

        Raises:
            StorageError: it cannot be removed now; it is in time.
        """
        for unwanted in tuple(self._unwanted):
            if unwanted.by == threading.get_ident():
                try:
                    with unwanted.removing:
                        self._remove(unwanted)
                except StorageError:
                    self._database.later(self._remove_idle)
                    raise

    def _remove_idle(self) -> None:
        """Remove what no other thread is at: to wait for one would keep this one from its work on the log."""
        for unwanted in tuple(self._unwanted):
            if unwanted.removing.acquire(blocking=False):
                try:
                    self._remove(unwanted)
                finally:
                    unwanted.removing.release()

    def _remove(self, unwanted: _Unwanted) -> None:
        # Where another thread has removed it, its key may be that of a gallery that was made since.
        if unwanted in self._unwanted:
            remove(self._database, unwanted.gallery_key)
            self._unwanted.discard(unwanted)


class _Unwanted:
    """A gallery to be removed, told from another that has its key later."""

    def __init__(self, gallery_key: int) -> None:
        self.gallery_key = gallery_key
        self.by = threading.get_ident()
        self.removing = threading.Lock()


def hidden_galleries(connection: sqlite3.Connection) -> list[int]:
    """The keys of all galleries that are hidden."""
    return [key for (key,) in connection.execute("SELECT key FROM galleries WHERE hidden")]


def remove(database: SqliteDatabase, gallery_key: int) -> None:
    """Remove a gallery that is hidden, with others writing in between; nothing happens to one that is not."""
    for table in ("templates", "subjects"):
        deletion = f"""DELETE FROM {table} WHERE key IN (
            SELECT {table}.key FROM galleries JOIN {table} ON gallery_key = galleries.key
            WHERE galleries.key = ? AND hidden LIMIT {_REMOVED_AT_ONCE})"""  # noqa: S608 - of the two above
        removed = 1
        while removed:
            with database.writing(erases=True) as connection:
                removed = connection.execute(deletion, (gallery_key,)).rowcount
    with database.writing(erases=True) as connection:
        connection.execute("DELETE FROM galleries WHERE key = ? AND hidden", (gallery_key,))
