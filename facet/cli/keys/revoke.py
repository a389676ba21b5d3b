"""``facet keys revoke``."""

from __future__ import annotations

from datetime import UTC, datetime

from facet.cli.keys.options import CallerIds, CallersPath, ConfigPath, path_of, positions, usable
from facet.server.access.callers.callers_file import changing
from facet.terminal import console
from facet.terminal.counts import agreeing


def revoke(
    ids: CallerIds, callers: CallersPath = None, config: ConfigPath = None, as_json: console.AsJson = False
) -> None:
    """Let callers in no longer. Their open calls end within a second. This cannot be undone.

    [b]Example[/b]

      facet keys revoke 3f9a1c20b7
    """
    path, now = path_of(callers, config), datetime.now(UTC).replace(microsecond=0)
    with usable(path), changing(path, must_exist=True) as entries:
        found = positions(entries, ids, path)
        for index in found:
            if entries[index].revoked is None:
                entries[index] = entries[index].model_copy(update={"revoked": now, "previous": None})
        revoked = [entries[index].id for index in found]
    if as_json:
        console.print_json({"revoked": revoked})
    else:
        console.out.print(f"revoked {', '.join(revoked)}: {agreeing(len(revoked), 'is')} let in no longer")
