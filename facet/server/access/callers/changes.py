"""What has changed between two versions of the callers file, for the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from facet.server.access.callers.callers import Callers

Changes: TypeAlias = Mapping[str, Sequence[str]]
"""Ids of identities by what has become of them: ``added``, ``removed``, ``revoked``, ``reinstated`` (no longer revoked)
or ``changed``."""
NoteChanges: TypeAlias = Callable[[Changes], None]

_NOBODY = Callers(())
_MOST = 100
"""Ids of one kind: an entry of the log stays a short line."""


def changes(before: Callers | None, after: Callers | None) -> Changes:
    """Compare two versions; what is empty is left out.

    Args:
        before: the callers until now; ``None`` for no file.
        after: the callers from now on.
    """
    old, new = (before or _NOBODY).entries, (after or _NOBODY).entries
    kept = [each for each in new if each in old and new[each] != old[each]]
    revoked = {each for each in kept if new[each].revoked is not None and old[each].revoked is None}
    reinstated = {each for each in kept if new[each].revoked is None and old[each].revoked is not None}
    found = {
        "added": [each for each in new if each not in old],
        "removed": [each for each in old if each not in new],
        "revoked": [each for each in kept if each in revoked],
        "reinstated": [each for each in kept if each in reinstated],
        "changed": [each for each in kept if each not in revoked | reinstated],
    }
    return {name: _first(ids) for name, ids in found.items() if ids}


def _first(ids: Sequence[str]) -> Sequence[str]:
    return ids if len(ids) <= _MOST else [*ids[:_MOST], f"and {len(ids) - _MOST} more"]
