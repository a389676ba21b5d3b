"""Whether error rates of groups differ by more than chance: permutation tests over people."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.groups.strata import Floats, Ints, drawn, strata_of

ROUNDS = 5000
"""Permutations: the smallest possible probability is 1 / 5001."""

_AT_ONCE = 1_000_000
"""Scores that are permuted at once."""

MIDDLE = (0.1, 0.9)
"""Quantiles of the trials per person, between which groups must overlap."""

Verdict = Literal["higher", "lower", "within chance", "no errors", "not comparable", "too few people"]


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely the differences of groups are if the groups mean nothing.

    Attributes:
        p: probability that any group deviates as much as the one that deviates most; ``None`` with fewer than two
            groups that can be compared, or too few people.
        by_group: probability that any group deviates as much as this one, by the place of the group; corrected for
            the number of groups.
        higher: whether a group's rate is above that of all, by its place.
        incomparable: the places of groups whose people have more or fewer trials than all others, so that a difference
            could be one of pictures.
        too_few: the places of groups with so few people, or people with errors, that no difference would be beyond
            chance.
        without_errors: whether no group that can be compared has an error.
        note: why there is no probability; empty if there is one.
    """

    p: float | None
    by_group: dict[int, float]
    higher: dict[int, bool]
    incomparable: tuple[int, ...] = ()
    too_few: tuple[int, ...] = ()
    without_errors: bool = False
    note: str = ""

    def verdict(self, group: int, level: float) -> Verdict | None:
        """Whether a group differs from all beyond chance at this level; ``None`` if it is not judged."""
        if group in self.incomparable:
            return "not comparable"
        if group in self.too_few:
            return "too few people"
        if group not in self.by_group:
            return None
        if self.without_errors:
            return "no errors"
        if self.by_group[group] > level:
            return "within chance"
        return "higher" if self.higher[group] else "lower"


def chance_of(
    errors: NDArray[np.bool_], first: Ints, second: Ints | None, group: Ints, *, level: float, seed: int
) -> Chance:
    """Test whether the error rates of groups are equal.

    The trials of one person depend on each other, so people are permuted over the groups. Comparing each group with the
    largest deviation of any group in each permutation corrects for the number of groups (max-T, Westfall & Young 1993).

    People with more trials have another distribution of errors, however large. So people are permuted within strata of
    people with about as many trials, and of those with more a random part is counted, so that all of a stratum have the
    same number. Within a stratum they are exchangeable if the groups mean nothing, also if there are few of them. The
    part is drawn anew for each permutation, and the probability is the mean over the parts, as in within-cluster
    resampling (Hoffman, Sen & Weinberg 2001; Follmann, Proschan & Leifer 2003).

    A group whose numbers of trials per person do not overlap those of the others (:data:`MIDDLE` of either) is not
    tested: nothing tells its people from the number of their pictures. Nothing is tested if even all people with errors
    in one group would be within chance (Tarone 1990).

    The number of pairs of a person depends on the size of the group, so that pairs have no strata. A pair counts for
    both of its people. A person's score is the sum of (error - overall rate), and is divided by its standard deviation
    while it is permuted. That grows with the number of pairs, and with how much the pairs of one person agree, which
    all people together tell (as in a beta-binomial distribution, Williams 1975). The sums are scaled to the variance of
    pairs that share people (Fafchamps & Gubert 2007).

    Args:
        errors: whether each of n trials is an error, shape ``(n,)``.
        first: the person of each trial, a number.
        second: the other person, if the trials are pairs.
        group: the group of the trial, from 0; of pairs, of both people.
        level: the probability below which a group will be said to differ.
        seed: seed of the permutations.
    """
    ends = first if second is None else np.concatenate((first, second))
    repeats = 1 if second is None else 2
    of_ends = np.tile(group, repeats)
    incomparable = tuple(_incomparable(ends, of_ends)) if second is None else ()
    tested = ~np.isin(group, incomparable)
    present = np.unique(group[tested]).tolist()
    if len(present) < 2:
        return Chance(None, {}, {}, incomparable, note="no groups can be compared")
    errors = errors[tested]
    if errors.all() or not errors.any():
        equal, none_higher = dict.fromkeys(present, 1.0), dict.fromkeys(present, False)
        return Chance(1.0, equal, none_higher, incomparable, without_errors=not errors.any())
    people = _People.of(errors, ends[np.tile(tested, repeats)], of_ends[np.tile(tested, repeats)])
    if note := _too_few(people, repeats, level):
        return Chance(None, {}, {}, incomparable, tuple(present), note=note)
    rng = np.random.default_rng(seed)
    if second is None:
        observed, largest = _of_people(people, rng)
    else:
        observed, largest = _of_pairs(people, errors, rng)
    reached = (largest[:, None] >= np.abs(observed) - 1e-9).sum(axis=0)
    chances = dict(zip(present, ((reached + 1) / (ROUNDS + 1)).tolist(), strict=True))
    higher = dict(zip(present, (observed.mean(axis=0) > 0).tolist(), strict=True))
    return Chance(min(chances.values()), chances, higher, incomparable)


@dataclass(frozen=True, slots=True)
class _People:
    """The people of the trials, by group.

    Attributes:
        errors: number of errors of each, shape ``(people,)``.
        trials: number of trials.
        group: the group, from 0 without gaps.
        rate: errors of all over the trials of all.
    """

    errors: Ints
    trials: Ints
    group: Ints
    rate: float

    @classmethod
    def of(cls, errors: NDArray[np.bool_], ends: Ints, group: Ints) -> _People:
        """Count the trials of each person; ``ends`` and ``group`` hold each pair twice."""
        _, place, unit, trials = np.unique(ends, return_index=True, return_inverse=True, return_counts=True)
        counted = np.bincount(unit, np.tile(errors, len(ends) // len(errors))).astype(np.intp)
        _, group_of = np.unique(group[place], return_inverse=True)
        order = np.argsort(group_of, kind="stable")
        return cls(counted[order], trials[order], group_of[order], float(errors.mean()))

    @property
    def agreement(self) -> float:
        """How much the trials of one person agree, from 0 for not at all to 1."""
        of_one = self.rate * (1 - self.rate)
        scores = self.errors - self.rate * self.trials
        further = float((self.trials * (self.trials - 1)).sum())
        found = (float(scores @ scores) - of_one * self.trials.sum()) / (of_one * further) if further else 0.0
        return min(max(found, 0.0), 1.0)


def _of_people(people: _People, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The deviation of each group, ``(ROUNDS, groups)``, and the largest of any if permuted, ``(ROUNDS,)``."""
    strata = strata_of(people.trials, people.group)
    sizes = np.stack([np.bincount(people.group[each.people], minlength=people.group[-1] + 1) for each in strata])
    counted = np.array([each.trials for each in strata])
    weights = 1 / (1 + people.agreement * (counted - 1))
    at_once = max(1, _AT_ONCE // len(people.trials))
    observed, largest = [], []
    for start in range(0, ROUNDS, at_once):
        rounds = min(at_once, ROUNDS - start)
        found, permuted, variance = (np.zeros((rounds, sizes.shape[1])) for _ in range(3))
        for stratum, size, weight in zip(strata, sizes, weights, strict=True):
            if size.max() == size.sum():
                continue
            by_group = np.sort(stratum.people)
            at_most = np.full(len(by_group), stratum.trials)
            parts = weight * drawn(people.errors[by_group], people.trials[by_group], at_most, rounds, rng)
            parts -= parts.mean(axis=1, keepdims=True)
            found += _sums(parts, size)
            permuted += _sums(rng.permuted(parts, axis=1), size)
            total = len(by_group)
            variance += (parts**2).sum(axis=1, keepdims=True) * size * (total - size) / (total * (total - 1))
        spread = np.sqrt(variance)
        observed.append(np.divide(found, spread, out=np.zeros_like(found), where=spread > 0))
        deviations = np.divide(permuted, spread, out=np.zeros_like(found), where=spread > 0)
        largest.append(np.abs(deviations).max(axis=1))
    return np.concatenate(observed), np.concatenate(largest)


def _sums(values: Floats, sizes: Ints) -> Floats:
    """Sums over consecutive groups of these sizes, some of which may be 0, shape ``(rounds, groups)``."""
    ends = np.concatenate((np.zeros((len(values), 1)), np.cumsum(values, axis=1)), axis=1)
    places = np.append(0, np.cumsum(sizes))
    return np.diff(ends[:, places], axis=1)


def _of_pairs(people: _People, errors: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The deviation of each group, ``(1, groups)``, and the largest of any in each permutation, ``(ROUNDS,)``."""
    scores = people.errors - people.rate * people.trials
    sizes = np.bincount(people.group)
    variances = people.rate * (1 - people.rate) * people.trials * (1 + people.agreement * (people.trials - 1))
    shares = np.bincount(people.group, people.trials) / people.trials.sum()
    own = np.bincount(people.group, variances)
    spread = np.sqrt((1 - shares) ** 2 * own + shares**2 * (own.sum() - own))
    deviations = errors - people.rate
    total, of_pairs = float(scores @ scores), float(deviations @ deviations)
    scale = np.sqrt(total / (4 * max(total - of_pairs, of_pairs)))
    observed = _sums(scores[None, :], sizes) / spread * scale
    standardised, deviation = scores / np.sqrt(variances), np.sqrt(variances)
    at_once = max(1, _AT_ONCE // len(scores))
    largest = []
    for start in range(0, ROUNDS, at_once):
        rounds = min(at_once, ROUNDS - start)
        permuted = rng.permuted(np.broadcast_to(standardised, (rounds, len(scores))), axis=1) * deviation
        sums = _sums(permuted, sizes) - shares * permuted.sum(axis=1, keepdims=True)
        largest.append((np.abs(sums) / spread).max(axis=1))
    return observed, np.concatenate(largest)


def _incomparable(people: Ints, group: Ints) -> list[int]:
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


def _too_few(people: _People, repeats: int, level: float) -> str:
    """Why no difference would be beyond chance; empty if one could be.

    All people with errors in one group are the largest difference. The same is asked of people without errors.
    """
    sizes = np.bincount(people.group).tolist()
    for found, what in ((people.errors > 0, "with errors"), (people.errors < people.trials, "with a success")):
        some = int(found.sum())
        units = -(-some // repeats)
        smallest = min(sizes.count(size) * comb(size, units) / comb(sum(sizes), units) for size in sizes)
        if smallest > level:
            return f"too few people to tell: {some} {what}"
    return ""
