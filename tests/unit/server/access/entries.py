"""Entries of callers files for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from facet.server.access.callers.callers_file import CallerEntry
from facet.server.access.callers.key import sha256

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def entry(caller_id: str = "cam", secret: str = "right", **fields: Any) -> CallerEntry:
    """A caller with a key who may recognise everybody."""
    given: dict[str, Any] = {"kind": "key", "scopes": ["recognize"], "galleries": ["*"], "created": CREATED}
    if fields.get("kind", "key") == "key":
        given["sha256"] = sha256(secret)
    return CallerEntry(id=caller_id, **(given | fields))
