"""The order in which what waits is served."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Place(Generic[T]):
    item: T
    turn: float


class WaitingLine(Generic[T]):
    """What waits, in the order of arrival plus handicap, each in seconds on one clock.

    What has a handicap stands back behind what comes so much later without one, and behind nothing younger: this is
    the ageing that keeps the less urgent from waiting for ever.
    """

    def __init__(self) -> None:
        self._places: list[_Place[T]] = []

    def __iter__(self) -> Iterator[T]:
        """Everything that waits, the first to be served first."""
        return (place.item for place in self._places)

    def __len__(self) -> int:
        return len(self._places)

    def ahead(self, arrival: float, handicap: float) -> list[T]:
        """What would be served before one that comes now; equals are served as they came."""
        end = bisect_right(self._places, arrival + handicap, key=attrgetter("turn"))
        return [place.item for place in self._places[:end]]

    def join(self, item: T, arrival: float, handicap: float) -> None:
        """Wait."""
        insort(self._places, _Place(item, arrival + handicap), key=attrgetter("turn"))

    def leave(self, item: T) -> None:
        """Wait no longer; nothing happens where it waits no longer already."""
        self._places = [place for place in self._places if place.item != item]

    def take(self) -> T | None:
        """The one whose turn it is, taken out of the line; ``None`` where nobody waits."""
        return self._places.pop(0).item if self._places else None
