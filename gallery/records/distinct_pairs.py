"""Pairs of subjects that an operator told apart: they are two people, however much they look alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable

Pair = tuple[str, str]
"""The ids of two subjects of a gallery, in code point order."""

MAX_DISTINCT_PAIRS = 10_000
"""The most pairs of a gallery. They are kept in memory, and listed in one answer."""


class DistinctPairs:
    """The pairs of one gallery, as searches and enrolments ask for them. It never changes.

    Args:
        pairs: the pairs.

    Attributes:
        pairs: see above.
    """

    __slots__ = ("_others", "pairs")

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self.pairs = frozenset(pairs)
        self._others: dict[str, set[str]] = {}
        for one, other in self.pairs:
            self._others.setdefault(one, set()).add(other)
            self._others.setdefault(other, set()).add(one)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def others(self, subject_id: str) -> Collection[str]:
        """Return the subjects that a subject was told apart from."""
        return self._others.get(subject_id, ())

    def are_distinct(self, one: str, other: str) -> bool:
        """Tell whether two subjects were told apart, in either order."""
        return other in self.others(one)

    def without(self, subject_ids: Collection[str]) -> DistinctPairs:
        """Return the pairs without those of some subjects."""
        if not any(subject_id in self._others for subject_id in subject_ids):
            return self
        gone = frozenset(subject_ids)
        return DistinctPairs(pair for pair in self.pairs if gone.isdisjoint(pair))


NO_PAIRS = DistinctPairs()


def ordered(one: str, other: str) -> Pair:
    """Return two ids in code point order."""
    return (one, other) if one < other else (other, one)
