"""Figures with 95 % intervals, which account for the chance in choosing these people and pictures."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from gallery import intervals

CONFIDENCE = 0.95
ROUNDS = 1000
"""Resamples of a bootstrap."""

_ALONE = "one person or picture alone has no interval"

_Z = 1.959963984540054
""":data:`CONFIDENCE` of a normal distribution lies within this many standard deviations."""
RULE_OF_THREE = 3.0
"""A rate of which n trials show no event may be this over n (Hanley & Lippman-Hand 1983)."""
_EXACT = 1e-12
"""Rounding tolerance for a share of 0 or 1."""

Name = TypeVar("Name", bound=Hashable)
Weights: TypeAlias = NDArray[np.int64]
"""How often each item counts, shape ``(n,)``."""
Statistic: TypeAlias = Callable[[Weights], float | None]
"""Computes a figure from weighted items; ``None`` if they do not define it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and its 95 % interval.

    Attributes:
        value: the measured value; ``None`` if the set does not define it.
        low: lower end of the interval; ``None`` without a value, or for one person or picture alone.
        high: upper end.
        note: what the reader must know, such as why there is no value; may be empty.
    """

    value: float | None
    low: float | None
    high: float | None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The figure as reports contain it; without an empty note."""
        return {"value": self.value, "low": self.low, "high": self.high} | ({"note": self.note} if self.note else {})


def none(note: str) -> Figure:
    """A figure that the set does not define, with the reason."""
    return Figure(None, None, None, note)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """:func:`gallery.intervals.wilson` with the rule of three if none or all hit.

    Args:
        hits: successful trials.
        trials: at least 1.
    """
    if hits in (0, trials):
        reach = min(1.0, RULE_OF_THREE / trials)
        return (0.0, reach) if hits == 0 else (1.0 - reach, 1.0)
    return intervals.wilson(hits, trials)


def rate(count: int, exposure: float) -> Figure:
    """Events per unit of exposure, with Byar's interval of a Poisson count (Rothman & Boice 1979).

    Without events the interval is the rule of three. Assumes independent events.

    Args:
        count: number of events.
        exposure: in any unit, such as minutes; above 0.
    """
    if not count:
        return Figure(0.0, 0.0, RULE_OF_THREE / exposure)
    low, high = (
        at * (1 - 1 / (9 * at) + sign * _Z / (3 * float(np.sqrt(at)))) ** 3
        for at, sign in ((count, -1), (count + 1, 1))
    )
    return Figure(count / exposure, max(0.0, low) / exposure, high / exposure)


class Identities:
    """Resamples identities instead of items, because people vary more than the pictures of one person.

    Each round draws as many identities as there are, with replacement. An item counts as often as its identity was
    drawn. An item of two identities, such as a pair of pictures, counts as the product of both, or as one if both are
    the same (the subsets bootstrap, Bolle et al. 2004). The same seed and the same identities give the same rounds, so
    two runs can be compared round by round. A single identity is not resampled.

    Args:
        names: all identities, in any order.
        seed: seed of the random generator.
        rounds: number of resamples.
    """

    def __init__(self, names: Sequence[Hashable], *, seed: int, rounds: int = ROUNDS) -> None:
        self._places = {name: place for place, name in enumerate(sorted(set(names), key=str))}
        count = len(self._places)
        rng = np.random.default_rng(seed)
        self._drawn = [
            np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(rounds if count > 1 else 0)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def weights(self, of: Sequence[Hashable], and_of: Sequence[Hashable] | None = None) -> Iterator[Weights]:
        """Yield the weights of the items, round by round.

        Args:
            of: the identity of each item.
            and_of: the second identity of each item, if items are pairs.
        """
        first = np.array([self._places[name] for name in of], np.intp)
        if and_of is None:
            yield from (drawn[first] for drawn in self._drawn)
            return
        second = np.array([self._places[name] for name in and_of], np.intp)
        is_one = first == second
        for drawn in self._drawn:
            yield np.where(is_one, drawn[first], drawn[first] * drawn[second])


def bootstrapped(statistic: Statistic, items: int, rounds: Iterator[Weights]) -> Figure:
    """A figure with its percentile interval (Efron 1979).

    Args:
        statistic: computes the figure.
        items: number of items.
        rounds: resampled weights of the items. Rounds that do not define the figure are skipped.
    """
    value = statistic(np.ones(items, np.int64))
    if value is None:
        return none("no such items")
    return of_rounds(value, [each for weights in rounds if (each := statistic(weights)) is not None])


def of_rounds(value: float, values: Sequence[float]) -> Figure:
    """A figure with the percentile interval of its values in the rounds of a bootstrap."""
    return Figure(value, *_percentiles(values)) if len(values) else Figure(value, None, None, _ALONE)


def bootstrapped_together(
    statistics: Callable[[Weights], Mapping[Name, float | None]], items: int, rounds: Iterable[Weights]
) -> dict[Name, Figure]:
    """Several figures with their percentile intervals, computed together in one pass over the items.

    Args:
        statistics: computes the figures by name, always the same names; ``None`` for one the items do not define.
        items: number of items.
        rounds: resampled weights of the items. Rounds that do not define a figure are skipped for that figure.
    """
    values = statistics(np.ones(items, np.int64))
    drawn: dict[Name, list[float]] = {name: [] for name in values}
    for weights in rounds:
        for name, value in statistics(weights).items():
            if value is not None:
                drawn[name].append(value)
    return {
        name: none("no such items") if value is None else of_rounds(value, drawn[name])
        for name, value in values.items()
    }


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)


def widened(figure: Figure, identities: int) -> Figure:
    """Widen a bootstrapped share of 0 or 1 by the rule of three over this many identities.

    A bootstrap has nothing to vary there and would report certainty. A share that rests on one identity has no
    interval.
    """
    figure = unless_alone(figure, identities)
    if figure.value is None or figure.low is None or figure.high is None or _EXACT < figure.value < 1 - _EXACT:
        return figure
    low, high = wilson(round(figure.value) * identities, identities)
    return replace(figure, low=min(low, figure.low), high=max(high, figure.high))


def unless_alone(figure: Figure, identities: int) -> Figure:
    """Remove the interval of a figure that rests on one identity."""
    if identities > 1 or figure.value is None:
        return figure
    return Figure(figure.value, None, None, figure.note or _ALONE)


def share(hits: NDArray[np.bool_], of: Sequence[Hashable], identities: Identities) -> Figure:
    """The share of items that hit, with Wilson's interval if every item has its own identity, else a bootstrap.

    If none or all hit, a bootstrap has nothing to vary, and the rule of three over the identities applies.

    Args:
        hits: whether each item hit, shape ``(n,)``.
        of: the identity of each item.
        identities: all identities, possibly more than these.
    """
    if not len(hits):
        return none("no such items")
    people = len(set(of))
    count = int(hits.sum())
    if people < 2:
        return Figure(count / len(hits), None, None, _ALONE)
    if people == len(hits) or count in (0, len(hits)):
        low, high = wilson(round(count / len(hits) * people), people)
        return Figure(count / len(hits), low, high)
    return bootstrapped(lambda weights: _share(hits, weights), len(hits), identities.weights(of))


def _share(hits: NDArray[np.bool_], weights: Weights) -> float | None:
    total = int(weights.sum())
    return int(weights[hits].sum()) / total if total else None
