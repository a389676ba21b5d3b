"""Rows of a gallery's templates, a page at a time, in the orders in which they are read."""

from __future__ import annotations

import sqlite3
from typing import Any

from gallery.stores.sqlite.contract_keys import contract_key, is_migrating, own_contract
from gallery.stores.sqlite.migration.rows_under import opened_rows, rows_by_age_under, rows_by_subject_under
from gallery.stores.sqlite.rows import EMBEDDED, EMBEDDED_BY_SUBJECT, FACE
from gallery.stores.sqlite.sealing.sealed_values import Opener


def embedded_by_age(
    connection: sqlite3.Connection, gallery_key: int, opener: Opener, contract: str, *, after: int, limit: int
) -> list[Any]:
    """Return rows for :func:`gallery.stores.sqlite.rows.embedded_of`, by the time they were added.

    Args:
        connection: where to read.
        gallery_key: the gallery's key.
        opener: opens the embeddings of a gallery that is being migrated.
        contract: the contract of the embeddings; empty for the gallery's.
        after: the key of the last template of the page before; 0 for the first page.
        limit: at most so many.
    """
    own = own_contract(connection, gallery_key)
    if contract not in ("", own) or is_migrating(connection, gallery_key):
        key = contract_key(connection, gallery_key, contract or own)
        return opened_rows(rows_by_age_under(connection, gallery_key, key, after=after, limit=limit), opener)
    return connection.execute(
        EMBEDDED + "AND templates.gallery_key = ? AND templates.key > ? ORDER BY templates.key LIMIT ?",
        (gallery_key, after, limit),
    ).fetchall()


def embedded_by_subject(
    connection: sqlite3.Connection,
    gallery_key: int,
    opener: Opener,
    contract: str,
    *,
    after: tuple[str, str],
    limit: int,
) -> list[Any]:
    """Return rows for :func:`gallery.stores.sqlite.rows.embedded_of`, by the ids of subject and template.

    Args:
        connection: where to read.
        gallery_key: the gallery's key.
        opener: opens the embeddings of a gallery that is being migrated.
        contract: the contract of the embeddings; empty for the gallery's.
        after: the ids of the last row of the page before; empty for the first page.
        limit: at most so many.
    """
    own = own_contract(connection, gallery_key)
    if contract not in ("", own) or is_migrating(connection, gallery_key):
        key = contract_key(connection, gallery_key, contract or own)
        return opened_rows(rows_by_subject_under(connection, gallery_key, key, after=after, limit=limit), opener)
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
