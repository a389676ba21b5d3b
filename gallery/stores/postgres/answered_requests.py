"""The enrolment requests in the PostgreSQL store, and the templates that they were answered with."""

from __future__ import annotations

from typing import Any

import psycopg

from gallery.records.templates import Template
from gallery.stores.postgres.connection.database import Connection
from gallery.stores.postgres.rows import ANSWER, template_of

_ANSWER = f"{ANSWER} AND gallery_id = %(gallery)s AND request_id = %(request)s"
_REQUESTS = """
    SELECT request_id FROM requests JOIN templates ON templates.key = template_key
    WHERE templates.gallery_key = %s AND template_id = %s ORDER BY request_id
"""


def ask_for_answer(
    connection: Connection, gallery_id: str, request_id: str, now: int
) -> psycopg.Cursor[tuple[Any, ...]]:
    """Ask for what :func:`answer_of` returns; may be part of a pipeline."""
    wanted = {"gallery": gallery_id, "request": request_id, "now": now}
    return connection.execute(_ANSWER.encode(), wanted)


def answer_of(asked: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Template, str] | None:
    """Return the template that a request was answered with, and the request's digest; ``None`` if there is none."""
    row = asked.fetchone()
    return None if row is None else (template_of(row[:-1]), row[-1])


def requests_of(connection: Connection, gallery_key: int, template_id: str) -> list[str]:
    """Return the ids of the requests that were answered with a template, in order."""
    return [request_id for (request_id,) in connection.execute(_REQUESTS, (gallery_key, template_id))]
