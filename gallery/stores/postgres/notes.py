"""The notes of writers, by which other servers learn what has changed; :mod:`.feed` reads them."""

from __future__ import annotations

from collections.abc import Iterable

from gallery.stores.postgres.connection.database import Connection

GALLERY_ITSELF = ""
"""Stands for the gallery itself among the ids of subjects."""

LATEST = """(
    SELECT * FROM revisions WHERE gallery_key = galleries.key ORDER BY revision DESC LIMIT 1)"""
"""The latest revision of a gallery, in a query with the table galleries."""
NOTED = """noted AS (
        INSERT INTO revisions (gallery_key, revision, time, subject_count, template_count, subject_ids)
        SELECT latest.gallery_key, latest.revision + 1, %(now)s, latest.subject_count + changed.subjects,
            latest.template_count + changed.templates, %(subjects)s::TEXT[]
        FROM changed CROSS JOIN LATERAL (
            SELECT * FROM revisions WHERE gallery_key = changed.key ORDER BY revision DESC LIMIT 1
        ) AS latest
    )
    SELECT pg_notify(current_schema(), ''), changed.templates FROM changed
"""
"""The end of a statement that changes a gallery; its part ``changed`` has the gallery's key, and what it adds to the
counts of subjects and templates.

It notes that ``subjects`` have changed, and tells other servers once the transaction is committed. The gallery must be
locked by an earlier statement: this one sees the revisions that were there when it began.
"""
_FIRST = """
    INSERT INTO revisions (gallery_key, revision, time, subject_count, template_count, subject_ids)
    VALUES (%s, 0, %s, 0, 0, NULL)
"""
_NOTE = f"""
    WITH changed AS (
        SELECT %(key)s::BIGINT AS key, %(added_subjects)s::BIGINT AS subjects, %(added_templates)s::BIGINT AS templates
    ), {NOTED}
"""


def note_beginning(connection: Connection, gallery_key: int, now: int) -> None:
    """Note that a gallery was made, empty; others do not see it yet."""
    connection.execute(_FIRST, (gallery_key, now))


def note_change(
    connection: Connection,
    gallery_key: int,
    now: int,
    subject_ids: Iterable[str] = (GALLERY_ITSELF,),
    *,
    subjects: int = 0,
    templates: int = 0,
) -> None:
    """Note what a transaction has changed, and tell other servers of it once it is committed.

    Args:
        connection: in a transaction that has locked the gallery, or made it.
        gallery_key: the gallery's key.
        now: the time, microseconds.
        subject_ids: the subjects that have changed, or are gone; by default the gallery itself.
        subjects: how many subjects there are more; negative if there are fewer.
        templates: how many templates there are more, likewise.
    """
    wanted = {"key": gallery_key, "now": now, "subjects": sorted(set(subject_ids))}
    connection.execute(_NOTE.encode(), wanted | {"added_subjects": subjects, "added_templates": templates})
