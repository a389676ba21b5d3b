"""Rows of a gallery's templates, a page at a time, in the orders in which they are read."""

from __future__ import annotations

import sqlite3
from typing import Any

from gallery.stores.sqlite.rows import EMBEDDED, EMBEDDED_BY_SUBJECT, FACE


def rows_by_age(connection: sqlite3.Connection, gallery_key: int, *, after: int, limit: int) -> list[Any]:
    """Return rows for :func:`gallery.stores.sqlite.rows.embedded_of`, by the time they were added.

    Args:
        connection: where to read.
        gallery_key: the gallery's key.
        after: the key of the last template of the page before; 0 for the first page.
        limit: at most so many.
    """
    return connection.execute(
        EMBEDDED + "AND templates.gallery_key = ? AND templates.key > ? ORDER BY templates.key LIMIT ?",
        (gallery_key, after, limit),
    ).fetchall()


def rows_by_subject(
    connection: sqlite3.Connection, gallery_key: int, *, after: tuple[str, str], limit: int
) -> list[Any]:
    """Return rows for :func:`gallery.stores.sqlite.rows.embedded_of`, by the ids of subject and template.

    Args:
        connection: where to read.
        gallery_key: the gallery's key.
        after: the ids of the last row of the page before; empty for the first page.
        limit: at most so many.
    """
    return connection.execute(
        EMBEDDED_BY_SUBJECT
        + """AND subjects.gallery_key = ? AND subject_id >= ? AND (subject_id, template_id) > (?, ?)
        ORDER BY subject_id, template_id LIMIT ?""",
        (gallery_key, after[0], *after, limit),
    ).fetchall()


def rows_of_faces(connection: sqlite3.Connection, gallery_key: int, *, after: tuple[str, str], limit: int) -> list[Any]:
    """Return rows for :func:`gallery.stores.sqlite.rows.faces_of`, by the ids of subject and template.

    Args:
        connection: where to read.
        gallery_key: the gallery's key.
        after: the ids of the last row of the page before; empty for the first page.
        limit: at most so many.
    """
    subject_id, template_id = after
    # First the rest of the subject that the last page ended in: the two queries use different indexes.
    rows = connection.execute(
        FACE
        + """AND subjects.gallery_key = ? AND subject_id = ? AND template_id > ?
        ORDER BY template_id LIMIT ?""",
        (gallery_key, subject_id, template_id, limit),
    ).fetchall()
    return (
        rows
        + connection.execute(
            FACE
            + """AND subjects.gallery_key = ? AND subject_id > ?
        ORDER BY subject_id, template_id LIMIT ?""",
            (gallery_key, subject_id, limit - len(rows)),
        ).fetchall()
    )
