"""People with about as many trials, who can be exchanged for each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PEOPLE = 10
"""People of a stratum, if there are as many who have between one and two times as many trials."""

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stratum:
    """People with about as many trials.

    Attributes:
        people: their places.
        trials: the number of trials that each of them has at least.
    """

    people: Ints
    trials: int


def strata_of(trials: Ints, group: Ints) -> list[Stratum]:
    """Sort people into strata by the number of their trials, so that each stratum has people of two groups.

    From the largest number down, a stratum ends if it has people of two groups, and either :data:`PEOPLE` of them or
    nobody left who has half as many trials as its first. The last one may have people of one group, who tell nothing.

    Args:
        trials: number of trials of each person, shape ``(people,)``.
        group: the group of each person, shape ``(people,)``.
    """
    by_trials = np.argsort(-trials, kind="stable")
    ordered, groups = trials[by_trials], group[by_trials]
    numbers, starts = np.unique(-ordered, return_index=True)
    strata, begin = [], 0
    for number, start in zip((-numbers).tolist(), starts.tolist(), strict=True):
        enough = start - begin >= PEOPLE or ordered[begin] >= 2 * number
        if enough and len(np.unique(groups[begin:start])) > 1:
            strata.append(Stratum(by_trials[begin:start], int(ordered[start - 1])))
            begin = start
    return [*strata, Stratum(by_trials[begin:], int(ordered[-1]))]


def drawn(errors: Ints, trials: Ints, at_most: Ints, rounds: int, rng: np.random.Generator) -> Ints:
    """Errors among a random part of each person's trials, shape ``(rounds, people)``.

    Args:
        errors: number of errors of each person, shape ``(people,)``.
        trials: number of trials of each person.
        at_most: size of the part of each person.
        rounds: number of draws.
        rng: draws.
    """
    found = np.tile(np.where(errors == trials, at_most, errors), (rounds, 1))
    open_ = np.flatnonzero((errors > 0) & (errors < trials) & (at_most < trials))
    good, bad = errors[open_], (trials - errors)[open_]
    found[:, open_] = rng.hypergeometric(good, bad, at_most[open_], size=(rounds, len(open_)))
    return found
