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

MIDDLE = (0.1, 0.9)
"""Quantiles of the trials per person, between which groups must overlap."""

Verdict = Literal["higher", "lower", "within chance", "not comparable"]


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely the differences of groups are if the groups mean nothing.

    Attributes:
        p: probability that any group deviates as much as the one that deviates most; ``None`` with fewer than two
            groups that can be compared.
        by_group: probability that any group deviates as much as this one, by the place of the group; corrected for
            the number of groups.
        higher: whether a group's rate is above that of all, by its place.
        incomparable: the places of groups whose people have more or fewer trials than all others, so that a difference
            could be one of pictures.
    """

    p: float | None
    by_group: dict[int, float]
    higher: dict[int, bool]
    incomparable: tuple[int, ...] = ()

    def verdict(self, group: int, level: float) -> Verdict | None:
        """Whether a group differs from all beyond chance at this level; ``None`` if it is not judged."""
        if group in self.incomparable:
            return "not comparable"
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

    A person's score is the sum of (error - overall rate) over the person's trials, divided by its standard deviation.
    That grows with the number of trials, and with how much the trials of one person agree, which all people together
    tell (as in a beta-binomial distribution, Williams 1975). The scores are permuted over the people, and a group
    deviates by its sum of errors over the standard deviation of that. Comparing with the largest deviation of any group
    in each permutation corrects for the number of groups (max-T, Westfall & Young 1993). A person with many pictures is
    one unit, and has more weight than one with few.

    This asks for people with about as many trials in the other groups. A group whose numbers of trials per person do
    not overlap those of the others (:data:`MIDDLE` of either) is not tested: nothing tells its people from the number
    of their pictures.

    A pair counts for both of its people. The sums are scaled to the variance of pairs that share people (Fafchamps &
    Gubert 2007).

    Args:
        errors: whether each of n trials is an error, shape ``(n,)``.
        first: the person of each trial, a number.
        second: the other person, if the trials are pairs.
        group: the group of the trial, from 0; of pairs, of both people.
        groups: number of groups; some may have no trials.
        seed: seed of the permutations.
    """
    ends = first if second is None else np.concatenate((first, second))
    repeats = 1 if second is None else 2
    of_ends = np.tile(group, repeats)
    incomparable = _incomparable(ends, of_ends) if second is None else ()
    tested = ~np.isin(group, incomparable)
    if len(np.unique(group[tested])) < 2:
        return Chance(None, {}, {}, tuple(incomparable))
    tested_ends = np.tile(tested, repeats)
    return _tested(errors[tested], ends[tested_ends], of_ends[tested_ends], groups, seed, tuple(incomparable))


def _tested(
    errors: NDArray[np.bool_],
    ends: NDArray[np.intp],
    group: NDArray[np.intp],
    groups: int,
    seed: int,
    incomparable: tuple[int, ...],
) -> Chance:
    """Test groups that can be compared; ``ends`` and ``group`` hold each pair twice."""
    present = np.unique(group)
    deviations = errors - errors.mean()
    repeats = len(ends) // len(errors)
    _, unit, trials = np.unique(ends, return_inverse=True, return_counts=True)
    group_of = np.zeros(len(trials), np.intp)
    group_of[unit] = group
    by_group = np.argsort(group_of, kind="stable")
    scores = np.bincount(unit, np.tile(deviations, repeats))[by_group].astype(np.float64)
    sizes = np.bincount(group_of, minlength=groups)[present]
    starts = np.append(0, np.cumsum(sizes)[:-1])
    if not 0 < errors.mean() < 1:
        nothing = dict.fromkeys(present.tolist(), 1.0)
        return Chance(1.0, nothing, dict.fromkeys(present.tolist(), False), incomparable)
    variances = _variances(scores, trials[by_group].astype(np.float64), float(errors.mean()))
    sums = np.add.reduceat(scores, starts)
    shares = np.add.reduceat(trials[by_group], starts) / trials.sum()
    own = np.add.reduceat(variances, starts)
    spread = np.sqrt((1 - shares) ** 2 * own + shares**2 * (own.sum() - own))
    observed = np.abs(sums) / spread
    if repeats == 2:
        total, of_pairs = float(scores @ scores), float(deviations @ deviations)
        observed *= np.sqrt(total / (4 * max(total - of_pairs, of_pairs)))
    largest = _largest_deviations(scores, np.sqrt(variances), starts, shares, spread, seed)
    reached = (largest[None, :] >= observed[:, None] - 1e-9).sum(axis=1)
    chances = dict(zip(present.tolist(), ((reached + 1) / (ROUNDS + 1)).tolist(), strict=True))
    higher = dict(zip(present.tolist(), (sums > 0).tolist(), strict=True))
    return Chance(min(chances.values()), chances, higher, incomparable)


def _incomparable(people: NDArray[np.intp], group: NDArray[np.intp]) -> list[int]:
    """The groups whose people have other numbers of trials than those of all other groups."""
    _, place, trials = np.unique(people, return_index=True, return_counts=True)
    group_of = group[place]
    found = []
    for each in np.unique(group).tolist():
        own, others = trials[group_of == each], trials[group_of != each]
        if len(others):
            (low, high), (other_low, other_high) = np.quantile(own, MIDDLE), np.quantile(others, MIDDLE)
            if high < other_low or other_high < low:
                found.append(each)
    return found


def _variances(scores: NDArray[np.float64], trials: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """The variance of the score of each person, if all people are alike, shape ``(people,)``."""
    of_one = rate * (1 - rate)
    further = float((trials * (trials - 1)).sum())
    agreement = (float(scores @ scores) - of_one * trials.sum()) / (of_one * further) if further else 0.0
    return of_one * trials * (1 + min(max(agreement, 0.0), 1.0) * (trials - 1))


def _largest_deviations(
    scores: NDArray[np.float64],
    deviations: NDArray[np.float64],
    starts: NDArray[np.intp],
    shares: NDArray[np.float64],
    spread: NDArray[np.float64],
    seed: int,
) -> NDArray[np.float64]:
    """The largest deviation of any group in each permutation, shape ``(ROUNDS,)``.

    Args:
        scores: of the people, by group.
        deviations: the standard deviations of the scores.
        starts: the first person of each group.
        shares: of the trials that each group has.
        spread: the standard deviation of the sum of each group.
        seed: of the permutations.
    """
    rng = np.random.default_rng(seed)
    standardised = scores / deviations
    at_once = max(1, _AT_ONCE // len(scores))
    parts = []
    for start in range(0, ROUNDS, at_once):
        rounds = min(at_once, ROUNDS - start)
        permuted = rng.permuted(np.broadcast_to(standardised, (rounds, len(scores))), axis=1) * deviations
        sums = np.add.reduceat(permuted, starts, axis=1) - shares * permuted.sum(axis=1, keepdims=True)
        parts.append((np.abs(sums) / spread).max(axis=1))
    return np.concatenate(parts)
