"""Figures with intervals: where the truth may well lie, for all that chance did in drawing these pictures."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
ROUNDS = 1000
"""Resamples of a bootstrap."""

_ALONE = "of one person or picture alone there is no interval"

_Z = 1.959963984540054
"""Of the normal distribution, :data:`CONFIDENCE` lies within so many standard deviations."""
_RULE_OF_THREE = 3.0
_EXACT = 1e-12
"""By which a share that is 0 or 1 may be off, for its rounding."""

Weights: TypeAlias = NDArray[np.int64]
"""How often each item counts, shape ``(n,)``."""
Statistic: TypeAlias = Callable[[Weights], float | None]
"""A figure of weighted items; ``None`` where they do not yield it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and its 95 % interval.

    Attributes:
        value: what was measured; ``None`` where the set does not yield it.
        low: the interval's lower end; ``None`` where there is no value, or one person or picture alone.
        high: its upper end.
        note: what the reader has to know, such as why there is no value; may be empty.
    """

    value: float | None
    low: float | None
    high: float | None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """As reports have it; the note only where there is one."""
        return {"value": self.value, "low": self.low, "high": self.high} | ({"note": self.note} if self.note else {})


def none(note: str) -> Figure:
    """A figure that the set does not yield, and why."""
    return Figure(None, None, None, note)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval of a share of independent trials (1927); the rule of three where none or all hit.

    Args:
        hits: of the trials.
        trials: at least 1.
    """
    if hits in (0, trials):
        reach = min(1.0, _RULE_OF_THREE / trials)
        return (0.0, reach) if hits == 0 else (1.0 - reach, 1.0)
    share = hits / trials
    centre = (share + _Z**2 / (2 * trials)) / (1 + _Z**2 / trials)
    half = _Z / (1 + _Z**2 / trials) * float(np.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2)))
    return centre - half, centre + half


def rate(count: int, exposure: float) -> Figure:
    """Events by unit of exposure, with Byar's interval of a Poisson count (Rothman & Boice 1979).

    Where there are none it is the rule of three. Events are taken to be independent.

    Args:
        count: how many there were.
        exposure: during which, such as minutes; above 0.
    """
    if not count:
        return Figure(0.0, 0.0, _RULE_OF_THREE / exposure)
    low, high = (
        at * (1 - 1 / (9 * at) + sign * _Z / (3 * float(np.sqrt(at)))) ** 3
        for at, sign in ((count, -1), (count + 1, 1))
    )
    return Figure(count / exposure, max(0.0, low) / exposure, high / exposure)


class Identities:
    """Who items are of, to be drawn again and again: people vary more than the pictures of one.

    Of one identity alone nothing is drawn: it would always be the same.

    Each round draws as many identities as there are, with replacement, by a generator of a fixed seed; an item counts
    as often as its identity was drawn. An item of two identities, such as a pair of pictures, counts as often as the
    product of both says, or as the one, where both are the same (the subsets bootstrap of Bolle et al. 2004). The same
    seed and the same identities give the same rounds, so that differences of two runs can be taken round by round.

    Args:
        names: all identities; their order does not matter.
        seed: of the generator.
        rounds: how many.
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
        """Round by round how often items count.

        Args:
            of: the identity of each item.
            and_of: the other one of each, where items are pairs.
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
        statistic: the figure.
        items: how many there are.
        rounds: resampled weights of the items. Rounds that do not yield the figure are left out.
    """
    value = statistic(np.ones(items, np.int64))
    if value is None:
        return none("no such items")
    return of_rounds(value, [each for weights in rounds if (each := statistic(weights)) is not None])


def of_rounds(value: float, values: Sequence[float]) -> Figure:
    """A figure with the percentile interval of what it was in the rounds of a bootstrap."""
    return Figure(value, *_percentiles(values)) if len(values) else Figure(value, None, None, _ALONE)


def bootstrapped_together(
    statistics: Callable[[Weights], Mapping[str, float | None]], items: int, rounds: Iterable[Weights]
) -> dict[str, Figure]:
    """Several figures with their percentile intervals, where one pass over the items gives them all.

    Args:
        statistics: the figures by name, always of the same names; ``None`` where the items do not yield one.
        items: how many there are.
        rounds: resampled weights of the items. Rounds that do not yield a figure are left out for it.
    """
    values = statistics(np.ones(items, np.int64))
    drawn: dict[str, list[float]] = {name: [] for name in values}
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
    """A bootstrapped share that is 0 or 1, with the rule of three over so many identities for its other end.

    There a bootstrap has little or nothing to vary, and would say that the truth is known. Where it rests on one
    identity it has no interval at all.
    """
    figure = unless_alone(figure, identities)
    if figure.value is None or figure.low is None or figure.high is None or _EXACT < figure.value < 1 - _EXACT:
        return figure
    low, high = wilson(round(figure.value) * identities, identities)
    return replace(figure, low=min(low, figure.low), high=max(high, figure.high))


def unless_alone(figure: Figure, identities: int) -> Figure:
    """A figure without its interval, where it rests on one identity."""
    if identities > 1 or figure.value is None:
        return figure
    return Figure(figure.value, None, None, figure.note or _ALONE)


def share(hits: NDArray[np.bool_], of: Sequence[Hashable], identities: Identities) -> Figure:
    """The share of items that hit: Wilson's interval where every item is of an identity of its own, else bootstrapped.

    Where none or all hit a bootstrap has nothing to vary; the rule of three over the identities says how far off the
    truth may be.

    Args:
        hits: of each item, shape ``(n,)``.
        of: the identity of each.
        identities: all there are, or more.
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
