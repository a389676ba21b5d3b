"""Writes what happens to callers: to the audit log, and to the file of when they were last used."""

from __future__ import annotations

import threading
from functools import partial

import structlog

from facet.server.access.callers.changes import NoteChanges, changes
from facet.server.access.callers.last_used import LastUsed
from facet.server.access.callers.watched_callers import WatchedCallers

_log = structlog.get_logger("facet.access")


class Notes:
    """Notes changes of the callers, and when they were used, on a thread of its own.

    A disk that hangs stops only this thread: callers are revoked meanwhile. What has changed until the disk comes back
    is noted as one change.

    Args:
        callers: the callers.
        last_used: when they were used.
        note_changes: told of each change.
        seconds: how often to look.
    """

    def __init__(self, callers: WatchedCallers, last_used: LastUsed, note_changes: NoteChanges, seconds: float) -> None:
        self._callers = callers
        self._last_used = last_used
        self._note_changes = note_changes
        self._seconds = seconds
        self._noted = callers.current
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_noting, name="callers-notes", daemon=True)

    def start(self) -> None:
        """Begin; what has changed since this was made counts."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Note what is left, and wait for that, but no longer than some seconds."""
        self._stopping.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            _log.warning("the last changes and uses of callers may not be noted: the disk does not answer")

    def _keep_noting(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._seconds)
            for note in (self._note, partial(self._last_used.write, at_once=is_last)):
                try:
                    note()
                except Exception:  # the next ones may be noted again
                    _log.exception("noting changes and uses of callers failed")

    def _note(self) -> None:
        before, self._noted = self._noted, self._callers.current
        if before is not self._noted and (found := changes(before, self._noted)):
            self._note_changes(found)
