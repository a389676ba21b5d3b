"""``facet keys list``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.table import Column

from facet.cli.keys.options import CallersPath, ConfigPath, described, entries_of, path_of
from facet.server.access.callers import last_used
from facet.server.access.callers.callers_file import CallerEntry
from facet.server.access.identity import SCOPES
from facet.terminal import console
from facet.terminal.counts import counted
from facet.terminal.tables import table, whole

_DAY = len("2026-01-01")
_SCOPE = max(map(len, SCOPES))
_MINUTES = len("2026-01-01T00:00")


def list_callers(callers: CallersPath = None, config: ConfigPath = None, as_json: console.AsJson = False) -> None:
    """List the callers of a server: scopes, galleries, when their rights end, and when they were last used.

    The server notes once a minute who has called. A caller is [i]active[/i], [i]expired[/i] or [i]revoked[/i].
    """
    path, now = path_of(callers, config), datetime.now(UTC)
    entries, used = entries_of(path), last_used.read(path)
    rows = [_row(entry, used.get(entry.identity_id), now) for entry in entries]
    if as_json:
        console.print_json({"callers": rows})
        return
    if not entries:
        console.out.print(f"{path} has no callers: nobody is let in")
        return
    title = f"{path}: {counted(len(rows), 'caller')}"
    shown = table(
        whole("id"),
        "known as",
        Column("scopes", min_width=_SCOPE),
        Column("galleries", min_width=len("galleries"), overflow="fold"),
        whole("expires"),
        Column("last used", min_width=_DAY),
        whole("state"),
        title=title,
    )
    for entry, row in zip(entries, rows, strict=True):
        shown.add_row(
            entry.id,
            "\n".join(filter(None, (entry.label, entry.certificate or entry.subject))),
            " ".join(entry.scopes),
            " ".join(entry.galleries),
            "never" if entry.expires is None else f"{entry.expires.astimezone(UTC):%Y-%m-%d}",
            (row["last_used"] or "never")[:_MINUTES].replace("T", " "),
            row["state"],
        )
    console.out.print(shown)


def state_of(entry: CallerEntry, now: datetime) -> str:
    """Whether a caller is let in."""
    if entry.revoked is not None:
        return "revoked"
    return "expired" if entry.expires is not None and entry.expires <= now else "active"


def _row(entry: CallerEntry, used: str | None, now: datetime) -> dict[str, Any]:
    row = described(entry) | {"last_used": used, "state": state_of(entry, now)}
    if entry.previous is not None and entry.previous.expires > now:
        row["previous_key_expires"] = entry.previous.expires.isoformat()
    return row
