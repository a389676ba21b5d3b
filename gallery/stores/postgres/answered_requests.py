"""The enrolment requests in the PostgreSQL store, and the templates that they were answered with."""

from __future__ import annotations

from collections.abc import Sequence

from gallery.records.templates import Template
from gallery.stores.postgres.connection.database import Connection, Cursor
from gallery.stores.postgres.rows import ANSWER, template_of

_ANSWERS = f"{ANSWER} AND gallery_id = %(gallery)s AND request_id = ANY(%(requests)s)"
_REQUESTS = """
    SELECT request_id FROM requests JOIN templates ON templates.key = template_key
    WHERE templates.gallery_key = %s AND template_id = %s ORDER BY request_id
"""


def ask_for_answers(connection: Connection, gallery_id: str, request_ids: Sequence[str], now: int) -> Cursor:
    """Ask for what :func:`answers_of` returns; may be part of a pipeline."""
    wanted = {"gallery": gallery_id, "requests": list(request_ids), "now": now}
    return connection.execute(_ANSWERS.encode(), wanted)


def answers_of(asked: Cursor) -> dict[str, tuple[Template, str]]:
    """Return the templates that requests were answered with, and the requests' digests, by request id."""
    return {request_id: (template_of(tuple(columns)), digest) for *columns, digest, request_id in asked}


def requests_of(connection: Connection, gallery_key: int, template_id: str) -> list[str]:
    """Return the ids of the requests that were answered with a template, in order."""
    return [request_id for (request_id,) in connection.execute(_REQUESTS, (gallery_key, template_id))]
