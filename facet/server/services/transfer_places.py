"""A few places for long transfers, shared fairly between callers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from facet.server.calls.pace import Pace
from facet.server.errors import ServerError

_GRANTED_SECONDS = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    caller: str
    key: str
    pace: Pace


class TransferPlaces:
    """The places of transfers of one kind. Use it from one event loop.

    While there are free places, a caller may take them all. When there are none, a new transfer takes the place of one
    that has kept the server waiting for five minutes, or else of the newest one of a caller with at least two more than
    its own. Both end only while the server waits for their client, so nothing that is done already is refused.

    Args:
        number: how many there are.
        refusal: what is raised for a transfer without a place.
        granted_seconds: a transfer keeps its place until its client has kept the server waiting for this long.
    """

    def __init__(self, number: int, refusal: type[ServerError], *, granted_seconds: float = _GRANTED_SECONDS) -> None:
        self._number = number
        self._refusal = refusal
        self._granted_seconds = granted_seconds
        self._taken: dict[_Place, None] = {}

    @contextmanager
    def entered(self, caller: str, pace: Pace, key: str = "") -> Iterator[None]:
        """Take a place while the body runs.

        Args:
            caller: who transfers.
            pace: that of the transfer.
            key: what the transfer is about; no two transfers with the same key run at a time. Empty for no such limit.

        Raises:
            ServerError: there is no place.
        """
        place = _Place(caller, key, pace)
        self._make_room(place)
        self._taken[place] = None
        try:
            yield
        finally:
            self._taken.pop(place, None)

    def _make_room(self, newcomer: _Place) -> None:
        rivals = [each for each in self._taken if newcomer.key and each.key == newcomer.key]
        if not rivals and len(self._taken) < self._number:
            return
        victim = self._slowest(rivals or self._taken) or (None if rivals else self._newest_of_richest(newcomer.caller))
        if victim is None:
            raise self._refusal
        del self._taken[victim]
        victim.pace.end(self._refusal)

    def _slowest(self, places: Iterable[_Place]) -> _Place | None:
        slow = [each for each in places if each.pace.is_waiting and each.pace.lag_seconds > self._granted_seconds]
        return max(slow, key=lambda each: each.pace.lag_seconds, default=None)

    def _newest_of_richest(self, newcomer: str) -> _Place | None:
        held = Counter(place.caller for place in self._taken)
        richest = max(held, key=lambda each: held[each])
        if held[richest] <= held[newcomer] + 1:
            return None
        theirs = (each for each in reversed(self._taken) if each.caller == richest and each.pace.is_waiting)
        return next(theirs, None)
