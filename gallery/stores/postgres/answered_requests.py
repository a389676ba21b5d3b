"""The enrolment requests in the PostgreSQL store, and the templates that they were answered with."""

from __future__ import annotations

from gallery.records.templates import Template
from gallery.stores.postgres.database import Connection
from gallery.stores.postgres.rows import TEMPLATE, template_of


def find_answer(connection: Connection, gallery_key: int, request_id: str, now: int) -> tuple[Template, str] | None:
    """Return the template that a request was answered with, and the request's digest; ``None`` if there is none."""
    found = connection.execute(
        "SELECT template_key, digest FROM requests WHERE gallery_key = %s AND request_id = %s",
        (gallery_key, request_id),
    ).fetchone()
    if found is None:
        return None
    template_key, digest = found
    query = f"{TEMPLATE} AND templates.key = %(key)s"
    row = connection.execute(query.encode(), {"key": template_key, "now": now}).fetchone()
    return None if row is None else (template_of(row), digest)


def requests_of(connection: Connection, gallery_key: int, template_id: str) -> list[str]:
    """Return the ids of the requests that were answered with a template, in order."""
    rows = connection.execute(
        """SELECT request_id FROM requests JOIN templates ON templates.key = template_key
        WHERE templates.gallery_key = %s AND template_id = %s ORDER BY request_id""",
        (gallery_key, template_id),
    )
    return [request_id for (request_id,) in rows]
