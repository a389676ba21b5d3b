"""The enrolment requests in the SQLite store, and the templates that they were answered with."""

from __future__ import annotations

import sqlite3

from gallery.records.templates import Template
from gallery.stores.sqlite.rows import TEMPLATE, template_of
from gallery.stores.sqlite.sealing.sealed_values import REQUEST_DIGEST, Opener


def find_answer(
    connection: sqlite3.Connection, gallery_key: int, request_id: str, opener: Opener
) -> tuple[Template, str] | None:
    """Return the template that a request was answered with, and the request's digest; ``None`` if there is none."""
    found = connection.execute(
        "SELECT template_key, digest FROM requests WHERE gallery_key = ? AND request_id = ?", (gallery_key, request_id)
    ).fetchone()
    if found is None:
        return None
    template_key, digest = found
    row = connection.execute(TEMPLATE + "AND templates.key = ?", (template_key,)).fetchone()
    digest = opener.text(digest, REQUEST_DIGEST, request_id)
    return None if row is None else (template_of(row, opener), digest)


def requests_of(connection: sqlite3.Connection, gallery_key: int, template_id: str) -> list[str]:
    """Return the ids of the requests that were answered with a template, in order."""
    rows = connection.execute(
        """SELECT request_id FROM requests JOIN templates ON templates.key = template_key
        WHERE templates.gallery_key = ? AND template_id = ? ORDER BY request_id""",
        (gallery_key, template_id),
    )
    return [request_id for (request_id,) in rows]
