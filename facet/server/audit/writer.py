"""Writes the log on a thread of its own: what waits together is written and synced together."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from facet.server.audit.chain.entry import Draft
from facet.server.audit.chain.log import SERVER, AuditLog, Fsync, time_text
from facet.server.audit.tallies import Tallies, drafts_of
from gallery import times

FLUSH_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_MAX_WAITING = 10_000
"""Entries that wait for room on the disk. Further ones are lost, and their number is noted."""
LOST = "entries_lost"

_log = structlog.get_logger("facet.audit")

MakeDraft = Callable[[], Draft]
"""Makes an entry, on the writer's thread: calls wait for no hash, and no text of a time. It may be called again."""
Done = Callable[[bool], None]
"""Is told whether an entry is as durable as it must be."""


@dataclass(slots=True, eq=False)
class Ticket:
    """An entry that is to be written.

    Attributes:
        make: makes the entry.
        done: called when it is written, or cannot be; without it, the entry waits until it can be.
        of: the intent whose outcome it is, and whose number it gets. If that was not written, it is not either.
        number: its number; 0 while it is not written.
    """

    make: MakeDraft
    done: Done | None = None
    of: Ticket | None = None
    number: int = 0


class Writer:
    """Writes entries in the order in which they come.

    Args:
        log: the log; closed in the end.
        tallies: noted once a minute.
        fsync: when entries must be on disk.
        fsync_seconds: how often they are brought there, with ``interval`` and ``never``.

    Attributes:
        entries: entries written, by action.
        lost: entries that were lost because the log could not be written for too long.
    """

    def __init__(self, log: AuditLog, tallies: Tallies, *, fsync: Fsync, fsync_seconds: float) -> None:
        self._log = log
        self._tallies = tallies
        self._at_once = fsync == "always"
        self._sync_seconds = fsync_seconds
        self._waiting: deque[Ticket] = deque()
        self._in_hand = 0
        """Entries that are being written, and wait again if they cannot be."""
        self._changed = threading.Condition()
        self._closing = False
        self._problem = ""
        self._unsynced = False
        self._lost_unnoted = 0
        self._flush_at = time.monotonic() + FLUSH_SECONDS
        self._sync_at = self._retry_at = 0.0
        self.entries: Counter[str] = Counter()
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str:
        """Why the log cannot be written now; empty if it can."""
        return self._problem

    def write(self, make: MakeDraft, done: Done | None = None, *, of: Ticket | None = None) -> Ticket:
        """Write an entry soon, after those that came before.

        Args:
            make: makes the entry; must not fail.
            done: called on the writer's thread when the entry is as durable as ``fsync`` asks, or cannot be written.
                Without it, the entry waits until it can be written.
            of: the intent whose outcome it is.
        """
        ticket = Ticket(make, done, of)
        with self._changed:
            if done is None and len(self._waiting) + self._in_hand >= _MAX_WAITING:
                self.lost += 1
                self._lost_unnoted += 1
            else:
                self._waiting.append(ticket)
                self._changed.notify()
        return ticket

    def flush(self) -> None:
        """Note the tallies soon."""
        with self._changed:
            self._flush_at = 0.0
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, as far as that is possible, and close the log."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._log.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closing and not self._is_due():
                    self._changed.wait(self._seconds_to_wait())
                closing = self._closing
                batch = list(self._waiting)
                self._waiting.clear()
                self._in_hand = len(batch)
            if closing or time.monotonic() >= self._flush_at:
                self._note_tallies()
            self._write_batch(batch)
            self._in_hand = 0
            self._sync_if_due(now=closing)
            if closing:
                return

    def _is_due(self) -> bool:
        """Whether there is something to do. While the log cannot be written, only those who wait are served at once."""
        now = time.monotonic()
        if any(each.done for each in self._waiting) or now >= self._flush_at:
            return True
        if self._problem:
            return now >= self._retry_at and (bool(self._waiting) or self._unsynced)
        return bool(self._waiting) or (self._unsynced and now >= self._sync_at)

    def _seconds_to_wait(self) -> float:
        until = [self._flush_at]
        if self._problem:
            until.append(self._retry_at)
        elif self._unsynced:
            until.append(self._sync_at)
        return max(min(until) - time.monotonic(), 0.001)

    def _write_batch(self, batch: list[Ticket]) -> None:
        if not batch:
            return
        failure: Exception | None = None
        try:
            self._append(batch)
            if self._problem:  # that an entry can be written is not enough then: the head must be, too
                self._sync()
            elif self._at_once and any(each.done for each in batch):
                self._log.sync_entries()
        except Exception as error:
            failure = error
            self._failed(error)
        else:
            self._succeeded()
        for each in batch:
            if each.done is not None:
                each.done(failure is None)
        if failure is not None:
            self._keep([each for each in batch if each.done is None and not each.number])

    def _append(self, wanted: list[Ticket]) -> None:
        lost = self._lost_unnoted
        if lost:
            note = Draft(time_text(times.now()), LOST, caller=SERVER, facts={"entries": lost})
            wanted = [*wanted, Ticket(partial(_made, note))]
        drafts = self._numbered(wanted)
        try:
            self._log.append(drafts)
        except BaseException:
            for each in wanted:
                each.number = 0
            raise
        with self._changed:
            self._lost_unnoted -= lost
        if not self._unsynced:
            self._unsynced, self._sync_at = True, time.monotonic() + self._sync_seconds
        self.entries.update(each.action for each in drafts)

    def _numbered(self, wanted: list[Ticket]) -> list[Draft]:
        """Give each entry the number that it will have; an outcome learns that of its intent."""
        number, drafts = self._log.head.seq, []
        for each in wanted:
            if each.of is not None and not each.of.number:
                continue  # the change was refused, because its intent could not be written
            number += 1
            each.number = number
            draft = each.make()
            drafts.append(draft if each.of is None else replace(draft, intent=each.of.number))
        return drafts

    def _sync(self) -> None:
        self._log.sync()
        self._unsynced = False

    def _sync_if_due(self, *, now: bool) -> None:
        if not self._unsynced or not (now or time.monotonic() >= self._sync_at):
            return
        try:
            self._sync()
        except Exception as error:
            self._failed(error)
        else:
            self._succeeded()

    def _note_tallies(self) -> None:
        self._flush_at = time.monotonic() + FLUSH_SECONDS
        taken = self._tallies.take()
        try:
            if taken:
                self._append([Ticket(partial(_made, draft)) for draft in drafts_of(taken)])
            taken = {}
            self._log.trim()
        except Exception as error:
            self._tallies.give_back(taken)
            self._failed(error)

    def _keep(self, batch: list[Ticket]) -> None:
        """Let entries wait for better times, before those that have come since."""
        with self._changed:
            self._waiting.extendleft(reversed(batch))
            self._in_hand = 0

    def _failed(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        if not self._problem:
            _log.error("the audit log cannot be written: changes are refused", error=str(error))
        self._problem = str(error)

    def _succeeded(self) -> None:
        if self._problem:
            _log.info("the audit log can be written again")
        self._problem = ""


def _made(draft: Draft) -> Draft:
    return draft
