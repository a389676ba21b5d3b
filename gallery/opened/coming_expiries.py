"""What expires next in an open gallery, in memory: it leaves the indexes in time, also while the store is away."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable
from datetime import datetime

from gallery.records.expired import Expired, ExpiriesAhead, Expiry
from gallery.times import EARLIEST, earliest

AHEAD = 4096
"""How many expiries the store is asked for: so much can expire in a gallery while its store is away."""
_MOST = 4 * AHEAD
UNKNOWN = ExpiriesAhead((), EARLIEST)
"""For a gallery whose store must be asked before the gallery is used."""


class ComingExpiries:
    """What expires next in a gallery, for any number of threads.

    These are the next ones, not those of everybody: with a policy, everybody in the gallery has one.

    Args:
        ahead: what the store says.

    Attributes:
        next: when something expires next, or the store must be asked; ``None`` for never.
    """

    def __init__(self, ahead: ExpiriesAhead) -> None:
        self._lock = threading.Lock()
        self._until = ahead.until
        self._times: dict[str, dict[str, datetime]] = {}
        """By subject id, and by template id, which is empty for the subject."""
        for time, subject_id, template_id in sorted(ahead.expiries, reverse=True):  # the first one counts
            if self._until is None or time <= self._until:
                self._times.setdefault(subject_id, {})[template_id] = time
        self._sorted = sorted(
            Expiry(time, subject_id, template_id)
            for subject_id, times in self._times.items()
            for template_id, time in times.items()
        )
        self.next: datetime | None = None
        self._find_next()

    @property
    def is_low(self) -> bool:
        """Whether it is time to ask the store again."""
        return self._until is not None and len(self._sorted) < AHEAD // 2

    def is_known(self, moment: datetime) -> bool:
        """Tell whether everything is known that expires up to a moment."""
        return self._until is None or moment < self._until

    def due(self, moment: datetime) -> Expired:
        """Return what has expired at a moment."""
        with self._lock:
            due = self._sorted[: self._count(moment)]
        return Expired(
            tuple(each.subject_id for each in due if not each.template_id),
            tuple((each.subject_id, each.template_id) for each in due if each.template_id),
        )

    def forget_due(self, moment: datetime) -> None:
        """Forget what :meth:`due` returns."""
        with self._lock:
            self._remove(slice(self._count(moment)))

    def forget(self, subject_ids: Iterable[str]) -> None:
        """Forget subjects and their templates."""
        with self._lock:
            for subject_id in subject_ids:
                for template_id in tuple(self._times.get(subject_id, ())):
                    self._remove_one(subject_id, template_id)
            self._find_next()

    def replace(self, subject_ids: Collection[str], expiries: Iterable[Expiry]) -> None:
        """Note when subjects and their templates expire, instead of what was known of them."""
        self.forget(subject_ids)
        for time, subject_id, template_id in expiries:
            self.note(subject_id, template_id, time)

    def note(self, subject_id: str, template_id: str, time: datetime | None) -> None:
        """Note when a template expires, or a subject if ``template_id`` is empty; ``None`` for never."""
        with self._lock:
            if template_id in self._times.get(subject_id, ()):
                self._remove_one(subject_id, template_id)
            if time is not None and self.is_known(time):
                insort(self._sorted, Expiry(time, subject_id, template_id))
                self._times.setdefault(subject_id, {})[template_id] = time
            if len(self._sorted) > _MOST:
                self._until = self._sorted[AHEAD].time
                self._remove(slice(AHEAD, None))
            self._find_next()

    def _count(self, moment: datetime) -> int:
        return bisect_right(self._sorted, moment, key=lambda each: each.time)

    def _remove_one(self, subject_id: str, template_id: str) -> None:
        place = bisect_left(self._sorted, Expiry(self._times[subject_id][template_id], subject_id, template_id))
        self._remove(slice(place, place + 1))

    def _remove(self, places: slice) -> None:
        for _, subject_id, template_id in self._sorted[places]:
            times = self._times[subject_id]
            del times[template_id]
            if not times:
                del self._times[subject_id]
        del self._sorted[places]
        self._find_next()

    def _find_next(self) -> None:
        self.next = earliest(*(each.time for each in self._sorted[:1]), self._until)
