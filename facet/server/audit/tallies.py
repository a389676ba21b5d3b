"""Counts what is too frequent for entries of its own: searches, reads, log-ins and refusals. Notes are made of sums."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from facet.server.audit.chain.entry import Draft
from facet.server.audit.chain.log import time_text
from gallery import times

_MAX_ROWS = {"logged_in": 256, "refused": 128}
"""Rows of these actions in one flush; each becomes an entry. Clients choose their addresses."""
_MAX_OTHER_ROWS = 1024
_MAX_LAST_ROWS = 256
_MANY = "many"
"""What stands for the addresses, then for the galleries and callers, of what came after the last row."""
_LOGIN_SECONDS = 3600.0
_MAX_LOGINS = 4096


@dataclass(frozen=True, slots=True)
class Row:
    """What is counted together.

    Attributes:
        action: what was done.
        caller: the id of the caller's identity.
        address: the caller's address.
        gallery: the gallery, or empty.
        outcome: the name of the status code.
        reason: the reason of an error.
    """

    action: str
    caller: str
    address: str
    gallery: str = ""
    outcome: str = "OK"
    reason: str = ""


@dataclass(slots=True)
class Tally:
    """How often something was done.

    Attributes:
        first: when for the first time, as entries have it.
        last: when for the last time.
        counts: calls, probes and the like, by name.
    """

    first: str
    last: str
    counts: Counter[str] = field(default_factory=Counter)


class Tallies:
    """Counts until it is emptied. For any thread; the memory that it takes is bounded whatever clients do.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[Row, Tally] = {}
        self._numbers: Counter[str] = Counter()
        self._logins: OrderedDict[tuple[str, str], float] = OrderedDict()

    def count(self, row: Row, **counts: int) -> None:
        """Add to a row."""
        now = time_text(times.now())
        with self._lock:
            self._add(row, Tally(now, now, Counter(counts)))

    def log_in(self, caller: str, address: str) -> None:
        """Count a call of an identity, if it is the first from its address within an hour."""
        now, who = self._clock(), (caller, address)
        known = self._logins.get(who)
        if known is not None and now - known < _LOGIN_SECONDS:
            return
        self._logins[who] = now
        self._logins.move_to_end(who)
        if len(self._logins) > _MAX_LOGINS:
            self._logins.popitem(last=False)
        self.count(Row("logged_in", caller, address), times=1)

    def take(self) -> dict[Row, Tally]:
        """Empty the tallies; returns what they were."""
        with self._lock:
            taken, self._rows = self._rows, {}
            self._numbers.clear()
        return taken

    def give_back(self, taken: dict[Row, Tally]) -> None:
        """Add what could not be noted."""
        with self._lock:
            for row, tally in taken.items():
                self._add(row, tally)

    def _add(self, row: Row, tally: Tally) -> None:
        known = self._rows.get(row)
        if known is None:
            row = self._within_bounds(row)
            known = self._rows.get(row)
        if known is None:
            self._rows[row] = tally
            self._numbers[row.action] += 1
            return
        known.first, known.last = min(known.first, tally.first), max(known.last, tally.last)
        known.counts.update(tally.counts)

    def _within_bounds(self, row: Row) -> Row:
        """The row itself while there is room, then one for all addresses, then one for everything of the action."""
        most, number = _MAX_ROWS.get(row.action, _MAX_OTHER_ROWS), self._numbers[row.action]
        if number < most:
            return row
        merged = Row(row.action, row.caller, _MANY, row.gallery, row.outcome, row.reason)
        if merged in self._rows or number < most + _MAX_LAST_ROWS:
            return merged
        return Row(row.action, _MANY, _MANY, outcome=row.outcome, reason=row.reason)


def drafts_of(taken: dict[Row, Tally]) -> Sequence[Draft]:
    """The entries of what was counted."""
    now = time_text(times.now())
    return [
        Draft(
            time=now,
            action=row.action,
            caller=row.caller,
            address=row.address,
            gallery=row.gallery,
            outcome=row.outcome,
            reason=row.reason,
            facts={"since": tally.first, "until": tally.last, **tally.counts},
        )
        for row, tally in taken.items()
    ]
