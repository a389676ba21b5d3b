"""A queue in which callers have equal shares and waiting raises the priority."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Generic, TypeVar

T = TypeVar("T")

_LEAST_COST = 0.001
"""Seconds: an item of unknown cost counts as this much, so that callers take turns all the same."""
_IDLE_CALLERS = 64
"""Callers without items that are remembered before those with nothing to remember are dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class _Entry(Generic[T]):
    item: T
    caller: str
    handicap: float
    cost: float
    due: float
    """When it has waited for its handicap."""

    def urgency(self, now: float) -> tuple[float, float]:
        """What decides among a caller's items; the smallest is served first."""
        return (0.0 if self.due <= now else self.handicap), self.due


class FairQueue(Generic[T]):
    """Serves the most urgent items first, and callers equally among these.

    An item yields to items with a smaller handicap until it has waited for as long as its handicap; then it is as
    urgent as an item without one. So low priority never means starvation. The turn that it gets by waiting belongs to
    all items of its handicap: callers take it equally, so a flood of old items does not pass another caller's new one.

    Among equally urgent items, the caller that has been served least comes first, measured in seconds of service
    (start-time fair queueing: Goyal, Vin, Cheng 1997). A caller that comes back does not make up for the time in which
    it wanted nothing. Items of one caller keep their order of arrival.
    """

    def __init__(self) -> None:
        self._entries: dict[str, list[_Entry[T]]] = {}
        # Virtual time: seconds of service. A caller's tag is the virtual time at which its next item starts.
        self._tags: dict[str, float] = {}
        self._virtual = 0.0

    def __iter__(self) -> Iterator[T]:
        """The items, in no particular order."""
        return (entry.item for entries in self._entries.values() for entry in entries)

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def push(self, item: T, *, caller: str, arrival: float, handicap: float, cost: float) -> None:
        """Add an item.

        Args:
            item: the item.
            caller: whose share it counts against.
            arrival: seconds on the clock of ``now`` elsewhere.
            handicap: seconds for which it yields to items with a smaller one.
            cost: how long it is expected to take, seconds.
        """
        if caller not in self._entries:
            self._tags[caller] = self.tag(caller)
        entry = _Entry(item, caller, handicap, max(cost, _LEAST_COST), arrival + handicap)
        insort(self._entries.setdefault(caller, []), entry, key=attrgetter("due"))

    def remove(self, item: T) -> bool:
        """Remove an item that will not be served; false if it is not queued."""
        return self._remove(item) is not None

    def order(self, now: float) -> list[T]:
        """The items in the order in which they are served if none is added and none becomes more urgent."""
        ranked: list[tuple[float, float, float, _Entry[T]]] = []
        for caller, entries in self._entries.items():
            tag = self._tags[caller]
            for entry in sorted(entries, key=lambda each: each.urgency(now)):
                ranked.append((entry.urgency(now)[0], tag, entry.due, entry))
                tag += entry.cost
        ranked.sort(key=itemgetter(1, 2))
        fair: dict[float, deque[_Entry[T]]] = defaultdict(deque)
        for *_, entry in ranked:
            fair[entry.handicap].append(entry)
        ranked.sort(key=itemgetter(0))  # stable: equally urgent items stay in the order of turns
        return [fair[entry.handicap].popleft().item for *_, entry in ranked]

    def first(self, now: float, allowed: Callable[[T], bool] = lambda _: True) -> T | None:
        """The item to serve next; ``None`` if none is allowed."""
        return next(filter(allowed, self.order(now)), None)

    def take(self, item: T) -> None:
        """Remove a queued item to serve it: its cost counts against its caller."""
        entry = self._remove(item)
        if entry is not None:
            started = self._tags[entry.caller]
            self._virtual = max(self._virtual, started)
            self._tags[entry.caller] = started + entry.cost
            self._forget()

    def correct(self, caller: str, seconds: float) -> None:
        """Count this much more service, or less if negative, because an item took longer than expected."""
        if caller in self._tags:
            self._tags[caller] += seconds

    def tag(self, caller: str) -> float:
        """The virtual time at which the caller's next item would start: the smaller, the sooner it is its turn."""
        known = self._tags.get(caller, 0.0)
        return known if caller in self._entries else max(known, self._virtual)

    def reset(self) -> None:
        """Forget who has been served; called when nothing is queued or runs any more."""
        self._tags.clear()
        self._virtual = 0.0

    def _remove(self, item: T) -> _Entry[T] | None:
        for caller, entries in self._entries.items():
            for entry in entries:
                if entry.item == item:
                    entries.remove(entry)
                    if not entries:
                        del self._entries[caller]
                    return entry
        return None

    def _forget(self) -> None:
        """Drop callers that have no items and no more than the others' service behind them."""
        if len(self._tags) > len(self._entries) + _IDLE_CALLERS:
            self._tags = {
                caller: tag for caller, tag in self._tags.items() if caller in self._entries or tag > self._virtual
            }
