"""The notes of writers, by which other servers learn what has changed; :mod:`.feed` reads them."""

from __future__ import annotations

from collections.abc import Iterable

from gallery.stores.postgres.connection.database import Connection

GALLERY_ITSELF = ""
"""Stands for the gallery itself among the ids of subjects."""

NOTED = """noted AS (
        INSERT INTO feed (gallery_key, revision, subject_id, time)
        SELECT key, revision, unnest(%(subjects)s::TEXT[]), %(now)s FROM changed
    )
    SELECT pg_notify(current_schema(), '') FROM changed
"""
"""The end of a statement that raises the revision of a gallery, as its part ``changed``.

It notes that ``subjects`` have changed, and tells other servers once the transaction is committed.
"""
_NOTE = f"""
    WITH changed AS (
        UPDATE galleries SET revision = revision + 1 WHERE gallery_id = %(gallery)s AND NOT is_hidden
        RETURNING key, revision
    ), {NOTED}
"""  # noqa: S608 - only the constant above is inserted


def note_change(
    connection: Connection, gallery_id: str, now: int, subject_ids: Iterable[str] = (GALLERY_ITSELF,)
) -> None:
    """Note what a transaction has changed, and tell other servers of it once it is committed.

    Args:
        connection: in a transaction that writes.
        gallery_id: the gallery.
        now: the time, microseconds.
        subject_ids: the subjects that have changed, or are gone; by default the gallery itself.
    """
    connection.execute(_NOTE.encode(), {"gallery": gallery_id, "subjects": sorted(set(subject_ids)), "now": now})
