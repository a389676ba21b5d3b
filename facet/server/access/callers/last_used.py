"""When callers were last admitted, in a file beside that of the callers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from facet.server.access.callers import callers_file

_SECONDS = 60.0
"""The file is written at most this often."""

_log = structlog.get_logger("facet.access")


def path_of(callers: Path) -> Path:
    """The file beside a callers file."""
    return callers.with_name(callers.name.removesuffix(".json") + ".used.json")


def read(callers: Path) -> dict[str, str]:
    """When callers were last admitted: times (ISO 8601, UTC) by identity. What cannot be read is left out."""
    try:
        found = json.loads(path_of(callers).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    times = found if isinstance(found, dict) else {}
    return {identity_id: time for identity_id, time in times.items() if isinstance(time, str)}


class LastUsed:
    """Notes when callers are admitted.

    Args:
        callers: the callers file.
        clock: monotonic seconds.
    """

    def __init__(self, callers: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._callers = callers
        self._clock = clock
        self._noted: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._next_write = -math.inf
        self._failed = False

    def note(self, identity_id: str, now: float) -> None:
        """Note that a caller is admitted, at seconds since 1970."""
        self._noted[identity_id] = now

    def write(self, *, at_once: bool = False) -> None:
        """Write what was noted, unless that was done less than a minute ago. On one thread at a time."""
        noted = dict(self._noted)
        if noted == self._written or (self._clock() < self._next_write and not at_once):
            return
        self._next_write, self._written = self._clock() + _SECONDS, noted
        try:
            callers_file.write(path_of(self._callers), json.dumps(self._merged(noted), indent=1) + "\n", durably=False)
        except OSError as error:
            if not self._failed:
                _log.warning("cannot write when callers were last used", error=str(error))
            self._failed = True

    def _merged(self, noted: Mapping[str, float]) -> dict[str, str]:
        """With what other servers have written."""
        times = {each: datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds") for each, now in noted.items()}
        known = read(self._callers)
        return known | {each: when for each, when in times.items() if when > known.get(each, "")}
