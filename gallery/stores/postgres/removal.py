"""Removes the rows of galleries that were deleted: in small transactions, because it may take long."""

from __future__ import annotations

from gallery.stores.postgres.connection.database import PostgresDatabase

_AT_ONCE = 1000
"""Rows that one transaction deletes, without those that go with them."""

_NEXT = "SELECT key FROM galleries WHERE is_hidden ORDER BY key LIMIT 1 FOR UPDATE SKIP LOCKED"
_DELETIONS = (
    "DELETE FROM templates WHERE key IN (SELECT key FROM templates WHERE gallery_key = %s LIMIT %s)",
    "DELETE FROM subjects WHERE key IN (SELECT key FROM subjects WHERE gallery_key = %s LIMIT %s)",
    "DELETE FROM outcomes WHERE key IN (SELECT key FROM outcomes WHERE gallery_key = %s LIMIT %s)",
)
_DELETE = "DELETE FROM galleries WHERE key = %s"


def remove_hidden(database: PostgresDatabase) -> None:
    """Remove hidden galleries, also those whose deletion another server did not finish; several servers take turns.

    Raises:
        StorageError: something could not be deleted; the next call goes on.
    """
    while _remove_some(database):
        pass


def _remove_some(database: PostgresDatabase) -> bool:
    """Delete some rows of a hidden gallery; return whether there was one."""
    with database.writing() as connection:
        row = connection.execute(_NEXT).fetchone()
        if row is None:
            return False
        for deletion in _DELETIONS:
            if connection.execute(deletion.encode(), (row[0], _AT_ONCE)).rowcount:
                return True
        connection.execute(_DELETE, row)
        return True
