"""Moves templates from one subject to another in the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gallery.encryption.values import SEALED_TEXT
from gallery.records.changes import MovedTemplate
from gallery.stores.sqlite.sealing.sealed_values import Opener, Sealer
from gallery.times import to_microseconds

_SEALED = """
    SELECT picture_sha256, templates.embedding, png, second.embedding FROM templates
        LEFT JOIN crops ON crops.template_key = templates.key
        LEFT JOIN second_embeddings AS second ON second.template_key = templates.key
    WHERE templates.key = ?
"""


def move_templates(
    connection: sqlite3.Connection,
    keys: tuple[int, int],
    ids: tuple[str, str],
    moved: Sequence[MovedTemplate],
    *,
    opener: Opener,
    sealer: Sealer,
    all_of_them: bool,
) -> None:
    """Move templates, and seal what is sealed for its new place.

    Args:
        connection: in a transaction.
        keys: of the subject that has the templates, and of the one that gets them.
        ids: the ids of these two.
        moved: the templates, with the times at which they expire.
        opener: opens sealed values.
        sealer: seals them.
        all_of_them: also move what is not in ``moved``, because it has expired and is not erased yet.
    """
    from_key, into_key = keys
    rows = connection.execute("SELECT key, template_id FROM templates WHERE subject_key = ?", (from_key,)).fetchall()
    wanted = {each.template_id: each for each in moved}
    for key, template_id in rows:
        if template_id in wanted:
            expires = wanted[template_id].expire_time
            connection.execute(
                "UPDATE templates SET expire_time = ? WHERE key = ?",
                (None if expires is None else to_microseconds(expires), key),
            )
        elif not all_of_them:
            continue
        _seal_anew(connection, key, template_id, ids, opener, sealer)
        connection.execute("UPDATE templates SET subject_key = ? WHERE key = ?", (into_key, key))


def _seal_anew(
    connection: sqlite3.Connection, key: int, template_id: str, ids: tuple[str, str], opener: Opener, sealer: Sealer
) -> None:
    """Seal a template for another subject: sealed values open only in the row of their own."""
    picture, stored, png, second = connection.execute(_SEALED, (key,)).fetchone()
    if picture != SEALED_TEXT:
        return
    from_id, into_id = ids
    opened = opener.template(stored, picture, from_id, template_id)
    embedding, new_picture = sealer.template(*opened, into_id, template_id)
    connection.execute(
        "UPDATE templates SET embedding = ?, picture_sha256 = ? WHERE key = ?", (embedding, new_picture, key)
    )
    if (crop := opener.crop(png, picture, from_id, template_id)) is not None:
        sealed = sealer.crop(crop, into_id, template_id)
        connection.execute("UPDATE crops SET png = ? WHERE template_key = ?", (sealed, key))
    if second is not None:
        sealed = sealer.second_embedding(opener.second_embedding(second, from_id, template_id), into_id, template_id)
        connection.execute("UPDATE second_embeddings SET embedding = ? WHERE template_key = ?", (sealed, key))
