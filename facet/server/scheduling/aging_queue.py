"""A priority queue in which waiting raises the priority."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Entry(Generic[T]):
    item: T
    rank: float


class AgingQueue(Generic[T]):
    """Items in ascending order of arrival plus handicap, both in seconds on one clock.

    An item yields only to items that arrive within its handicap, so that low priority never means starvation. Items of
    equal rank keep their order of arrival.
    """

    def __init__(self) -> None:
        self._entries: list[_Entry[T]] = []

    def __iter__(self) -> Iterator[T]:
        """The items in the order in which they are served."""
        return (entry.item for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def ahead_of(self, arrival: float, handicap: float) -> list[T]:
        """The items served before a new one with this arrival and handicap."""
        end = bisect_right(self._entries, arrival + handicap, key=attrgetter("rank"))
        return [entry.item for entry in self._entries[:end]]

    def push(self, item: T, arrival: float, handicap: float) -> None:
        """Add an item."""
        insort(self._entries, _Entry(item, arrival + handicap), key=attrgetter("rank"))

    def remove(self, item: T) -> None:
        """Remove an item, if it is still queued."""
        self._entries = [entry for entry in self._entries if entry.item != item]

    def pop(self) -> T | None:
        """Remove and return the first item; ``None`` if the queue is empty."""
        return self._entries.pop(0).item if self._entries else None
