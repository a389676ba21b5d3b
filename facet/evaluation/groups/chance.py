"""Whether error rates of groups differ by more than chance: a permutation test over people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ROUNDS = 5000
"""Permutations: the smallest possible probability is 1 / 5001."""

_AT_ONCE = 1_000_000
"""Scores that are permuted at once."""

Verdict = Literal["higher", "lower", "within chance"]


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely the differences of groups are if the groups mean nothing.

    Attributes:
        p: probability that any group deviates as much as the one that deviates most; ``None`` with fewer than two
            groups.
        by_group: probability that any group deviates as much as this one, by the place of the group; corrected for
            the number of groups.
        higher: whether a group's rate is above that of all, by its place.
    """

    p: float | None
    by_group: dict[int, float]
    higher: dict[int, bool]

    def verdict(self, group: int, level: float) -> Verdict | None:
        """Whether a group differs from all beyond chance at this level; ``None`` if it was not tested."""
        if group not in self.by_group:
            return None
        if self.by_group[group] > level:
            return "within chance"
        return "higher" if self.higher[group] else "lower"


def chance_of(
    errors: NDArray[np.bool_],
    first: NDArray[np.intp],
    second: NDArray[np.intp] | None,
    group: NDArray[np.intp],
    groups: int,
    *,
    seed: int,
) -> Chance:
    """Test whether the error rates of groups are equal.

    A person's score is the sum of (error - overall rate) over the person's trials. The scores are permuted over the
    people, and a group deviates by the sum of its scores over its standard deviation. Comparing with the largest
    deviation of any group in each permutation corrects for the number of groups (max-T, Westfall & Young 1993). A
    person with many pictures is one unit.

    A pair counts for both of its people. The permuted sums are scaled to the variance of pairs that share people
    (Fafchamps & Gubert 2007).

    Args:
        errors: whether each of n trials is an error, shape ``(n,)``.
        first: the person of each trial, a number.
        second: the other person, if the trials are pairs.
        group: the group of the trial, from 0; of pairs, of both people.
        groups: number of groups; some may have no trials.
        seed: seed of the permutations.
    """
    present = np.unique(group)
    if len(present) < 2:
        return Chance(None, {}, {})
    deviations = errors - errors.mean()
    sums = np.bincount(group, deviations, minlength=groups)[present]
    ends = first if second is None else np.concatenate((first, second))
    repeats = 1 if second is None else 2
    people, unit = np.unique(ends, return_inverse=True)
    scores = np.bincount(unit, np.tile(deviations, repeats))
    group_of = np.zeros(len(people), np.intp)
    group_of[unit] = np.tile(group, repeats)
    sizes = np.bincount(group_of, minlength=groups)[present]
    total = float(scores @ scores)
    variance = total if second is None else total - float(deviations @ deviations)
    if total <= 0 or variance <= 0:
        return Chance(1.0, dict.fromkeys(present.tolist(), 1.0), dict.fromkeys(present.tolist(), False))
    count = len(people)
    spread = np.sqrt(sizes * (count - sizes) / (count * (count - 1)))
    observed = np.abs(sums) / (np.sqrt(variance) * spread)
    largest = _largest_deviations(scores / np.sqrt(total), sizes, spread, seed)
    reached = (largest[None, :] >= observed[:, None] - 1e-9).sum(axis=1)
    by_group = dict(zip(present.tolist(), ((reached + 1) / (ROUNDS + 1)).tolist(), strict=True))
    return Chance(min(by_group.values()), by_group, dict(zip(present.tolist(), (sums > 0).tolist(), strict=True)))


def _largest_deviations(
    scores: NDArray[np.float64], sizes: NDArray[np.intp], spread: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """The largest deviation of any group in each permutation, shape ``(ROUNDS,)``."""
    rng = np.random.default_rng(seed)
    starts = np.append(0, np.cumsum(sizes)[:-1])
    at_once = max(1, _AT_ONCE // len(scores))
    parts = []
    for start in range(0, ROUNDS, at_once):
        rounds = min(at_once, ROUNDS - start)
        permuted = rng.permuted(np.broadcast_to(scores, (rounds, len(scores))), axis=1)
        sums = np.add.reduceat(permuted, starts, axis=1)
        parts.append((np.abs(sums) / spread).max(axis=1))
    return np.concatenate(parts)
