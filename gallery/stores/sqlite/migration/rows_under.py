"""Rows of a gallery's templates by the embedding contract, for a gallery that is being migrated."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from gallery.encryption.values import SEALED_TEXT
from gallery.stores.sqlite.expiry import LIVING_SUBJECT, LIVING_TEMPLATE
from gallery.stores.sqlite.sealing.sealed_values import Opener

_UNDER = f"""
    SELECT subject_id, subjects.display_name, template_id, picture_sha256,
        CASE WHEN templates.contract_key IS :contract THEN templates.embedding END, second.embedding
    FROM {{tables}} LEFT JOIN second_embeddings AS second
        ON second.template_key = templates.key AND second.contract_key IS :contract
    WHERE {LIVING_SUBJECT} AND {LIVING_TEMPLATE}
        AND (templates.contract_key IS :contract OR second.template_key IS NOT NULL)
"""  # noqa: S608 - only the constants above are inserted
_BY_AGE = _UNDER.format(
    tables="""templates JOIN subjects ON subjects.key = subject_key
        JOIN galleries ON galleries.key = templates.gallery_key"""
)
_BY_SUBJECT = _UNDER.format(
    tables="""galleries CROSS JOIN subjects ON subjects.gallery_key = galleries.key
        CROSS JOIN templates ON templates.subject_key = subjects.key"""
)


def rows_by_age_under(
    connection: sqlite3.Connection, gallery_key: int, contract: int | None, *, after: int, limit: int
) -> list[Any]:
    """Return rows for :func:`opened_rows`, by the time they were added.

    Args:
        connection: where to read.
        gallery_key: the gallery's key.
        contract: the key of the contract.
        after: the key of the last template of the page before; 0 for the first page.
        limit: at most so many.
    """
    return connection.execute(
        _BY_AGE + "AND templates.gallery_key = :gallery AND templates.key > :after ORDER BY templates.key LIMIT :limit",
        {"contract": contract, "gallery": gallery_key, "after": after, "limit": limit},
    ).fetchall()


def rows_by_subject_under(
    connection: sqlite3.Connection, gallery_key: int, contract: int | None, *, after: tuple[str, str], limit: int
) -> list[Any]:
    """Return rows for :func:`opened_rows`, by the ids of subject and template.

    Args:
        connection: where to read.
        gallery_key: the gallery's key.
        contract: the key of the contract.
        after: the ids of the last row of the page before; empty for the first page.
        limit: at most so many.
    """
    return connection.execute(
        _BY_SUBJECT
        + """AND subjects.gallery_key = :gallery AND subject_id >= :subject
            AND (subject_id, template_id) > (:subject, :template)
        ORDER BY subject_id, template_id LIMIT :limit""",
        {
            "contract": contract,
            "gallery": gallery_key,
            "subject": after[0],
            "template": after[1],
            "limit": limit,
        },
    ).fetchall()


def opened_rows(rows: Iterable[Sequence[Any]], opener: Opener) -> list[tuple[Any, ...]]:
    """Open the embeddings of rows, and return them for :func:`gallery.stores.sqlite.rows.embedded_of`.

    Raises:
        CannotOpen: one cannot be opened.
    """
    return [
        (subject_id, name, template_id, _opened(own, second, picture, (subject_id, template_id), opener), False)
        for subject_id, name, template_id, picture, own, second in rows
    ]


def _opened(own: bytes | None, second: bytes | None, picture: str, ids: tuple[str, str], opener: Opener) -> Any:
    if picture != SEALED_TEXT:
        return own if second is None else second
    return opener.template(own, picture, *ids)[0] if own is not None else opener.second_embedding(second or b"", *ids)
