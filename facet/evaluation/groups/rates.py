"""An error rate by group of people, and how unequal the groups are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.groups.attributes import NOT_STATED, Attribute
from facet.evaluation.groups.chance import Chance, chance_of
from facet.evaluation.groups.trials import Bools, Trials
from facet.evaluation.intervals import Figure, Weights, none, wilson

MIN_PEOPLE = 10
"""Fewer people than this say nothing about a group: without an error the interval would reach beyond 0.3."""

_PSEUDO_ERRORS = 0.5
_FEW_GROUPS = f"fewer than two groups with at least {MIN_PEOPLE} people"
_NO_ERRORS = "no errors in any group"


class GroupedRate:
    """An error rate by the groups of an attribute.

    A trial of one person belongs to the group of that person. A trial of two people belongs to a group if both people
    do; between groups it counts for the rate ``across``.

    Args:
        attribute: the groups.
        trials: the trials among the n items of a report.
    """

    def __init__(self, attribute: Attribute, trials: Trials) -> None:
        self.attribute, self.trials = attribute, trials
        present = {*attribute.of.values()}
        self.groups = (*attribute.groups, *((NOT_STATED,) if NOT_STATED in present else ()))
        place = {group: index for index, group in enumerate(self.groups)}
        of_person = np.array([place[attribute.of[person]] for person in trials.people], np.intp)
        self._first = trials.first
        self._second = trials.first if trials.second is None else trials.second
        one, other = of_person[self._first], of_person[self._second]
        self._ends = one, other
        self._group = np.where(trials.counted & (one == other), one, -1)
        self.people = np.array([self._people(self._group == index) for index in range(len(self.groups))], np.intp)
        stated = np.array([group != NOT_STATED for group in self.groups], np.bool_)
        self._known = self.people >= MIN_PEOPLE
        self.judged = stated & self._known

    def figure_name(self, group: str) -> str:
        """The name of a group's rate, such as ``fnir[sex=female]``."""
        return f"{self.trials.name}[{self.attribute.name}={group}]"

    @property
    def ratio_name(self) -> str:
        """The name of the highest rate over the lowest, such as ``fnir_ratio[sex]``."""
        return f"{self.trials.name}_ratio[{self.attribute.name}]"

    @property
    def to_mean_name(self) -> str:
        """The name of the highest rate over the geometric mean of all."""
        return f"{self.trials.name}_to_mean[{self.attribute.name}]"

    @property
    def p_name(self) -> str:
        """The name of the probability of such differences by chance."""
        return f"{self.trials.name}_p[{self.attribute.name}]"

    def counts(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Errors and trials of each group, from weighted items."""
        chosen = self._group >= 0
        group, weight = self._group[chosen], weights[chosen]
        count = len(self.groups)
        errors = np.bincount(group, weight * self.trials.errors[chosen], minlength=count)
        return errors.astype(np.float64), np.bincount(group, weight, minlength=count).astype(np.float64)

    def values(self, weights: Weights) -> dict[str, float | None]:
        """The rates of groups with enough people, and the ratios of the stated ones, by name, from weighted items."""
        errors, trials = self.counts(weights)
        values: dict[str, float | None] = {
            self.figure_name(group): float(errors[index] / trials[index]) if trials[index] else None
            for index, group in enumerate(self.groups)
            if self._known[index]
        }
        ratio, to_mean = self._ratios(errors, trials)
        return values | {self.ratio_name: ratio, self.to_mean_name: to_mean}

    def figures(self, bootstrapped: Mapping[str, Figure]) -> dict[str, Figure]:
        """The figures by name.

        A rate whose trials are all of different people has Wilson's interval, one without errors the rule of three.

        Args:
            bootstrapped: the figures of :meth:`values`.
        """
        errors, trials = self.counts(np.ones(len(self._group), np.int64))
        found: dict[str, Figure] = {}
        for index, group in enumerate(self.groups):
            name = self.figure_name(group)
            hits, of, people = int(errors[index]), int(trials[index]), int(self.people[index])
            found[name] = bootstrapped[name] if self._known[index] else self._too_few(of, people)
            people_in_a_trial = 1 if self.trials.second is None else 2
            if self._known[index] and (hits in (0, of) or people == people_in_a_trial * of):
                units = min(of, people)
                found[name] = Figure(hits / of, *wilson(round(hits / of * units), units))
        for name in (self.ratio_name, self.to_mean_name):
            found[name] = self._ratio_figure(bootstrapped[name], int(errors[self.judged].sum()))
        return found

    def across(self, group: str) -> Bools:
        """Which pairs have one person in a group and the other in another stated one, ``(n,)``."""
        index = self.groups.index(group)
        stated = np.array([each != NOT_STATED for each in self.groups], np.bool_)
        one, other = self._ends
        across: Bools = self.trials.counted & ((one == index) != (other == index)) & stated[one] & stated[other]
        return across

    def chance(self, *, level: float, seed: int) -> Chance:
        """How likely differences as large as those of the judged groups are if the groups mean nothing.

        Args:
            level: the probability below which a group will be said to differ.
            seed: seed of the permutations.
        """
        if self.judged.sum() < 2:
            return Chance(None, {}, {}, note=f"too few people to tell: {_FEW_GROUPS}")
        chosen = np.flatnonzero((self._group >= 0) & self.judged[self._group])
        second = None if self.trials.second is None else self._second[chosen]
        errors, first, group = self.trials.errors[chosen], self._first[chosen], self._group[chosen]
        return chance_of(errors, first, second, group, level=level, seed=seed)

    def _people(self, trials: Bools) -> int:
        return len(np.union1d(self._first[trials], self._second[trials]))

    def _too_few(self, trials: int, people: int) -> Figure:
        if not trials:
            return none(f"no {self.trials.unit}")
        return none(f"too few people: {people}, at least {MIN_PEOPLE} needed")

    def _ratios(self, errors: NDArray[np.float64], trials: NDArray[np.float64]) -> tuple[float | None, float | None]:
        """Highest rate over lowest, and over the geometric mean.

        Half an error at the overall rate is added to every group, so that one without errors has a ratio, and the
        ratio of groups that are too small for any tends to 1.
        """
        used = self.judged & (trials > 0)
        if used.sum() < 2:
            return None, None
        errors, trials = errors[used], trials[used]
        overall = errors.sum() / trials.sum()
        if not overall:
            return 1.0, 1.0
        rates = (errors + _PSEUDO_ERRORS) / (trials + _PSEUDO_ERRORS / overall)
        return float(rates.max() / rates.min()), float(rates.max() / np.exp(np.log(rates).mean()))

    def _ratio_figure(self, bootstrapped: Figure, errors: int) -> Figure:
        if bootstrapped.value is None:
            return none(_FEW_GROUPS)
        return bootstrapped if errors else Figure(1.0, None, None, _NO_ERRORS)
