"""The part of a report on groups: error rates by group, worst ratios, and whether they are beyond chance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facet.evaluation.groups.attributes import NOT_STATED, Attribute
from facet.evaluation.groups.chance import Chance
from facet.evaluation.groups.rates import MIN_PEOPLE, GroupedRate
from facet.evaluation.groups.trials import Bools, Trials
from facet.evaluation.intervals import Figure, Identities, Weights, bootstrapped_together, none, wilson
from facet.evaluation.report.document import Report

LEVEL = 0.05
"""Probability of calling any difference in a report beyond chance if none is."""

RATES: Mapping[str, tuple[str, ...]] = {"identification": ("fnir", "fpir"), "verification": ("fnmr", "fmr")}
"""The rates by group of each kind of report."""
ACROSS = "fmr_across"
"""The name of the rate of pairs between groups."""


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What a report says about groups.

    Attributes:
        figures: rates, ratios and probabilities by name, such as ``fnir[sex=female]``.
        sections: the key ``groups`` of the document: by attribute, the rows of the groups, a summary of each rate, the
            subjects without a group, and the group of every subject.
    """

    figures: Report
    sections: Report


def figure_names(kind: str, attributes: Iterable[Attribute]) -> list[str]:
    """The names of all figures by group of a kind of report, so that a requirement can be checked beforehand."""
    names = []
    for attribute in attributes:
        for rate in RATES[kind]:
            names += [f"{rate}{part}[{attribute.name}]" for part in ("_ratio", "_to_mean", "_p")]
        rates = (*RATES[kind], ACROSS) if kind == "verification" else RATES[kind]
        names += [f"{rate}[{attribute.name}={group}]" for rate in rates for group in attribute.groups]
    return names


def group_report(
    attributes: Sequence[Attribute], trials: Sequence[Trials], identities: Identities, *, seed: int
) -> GroupReport:
    """Compute the error rates of all groups.

    Args:
        attributes: the groups of the subjects.
        trials: the trials of each rate, over the same items.
        identities: the people in the items, to be resampled.
        seed: seed of the permutations.
    """
    figures: Report = {}
    sections: Report = {}
    tests = len(attributes) * len(trials)
    for attribute in attributes:
        rates = [GroupedRate(attribute, each) for each in trials]

        def values(weights: Weights, rates: Sequence[GroupedRate] = rates) -> dict[str, float | None]:
            return {name: value for rate in rates for name, value in rate.values(weights).items()}

        bootstrapped = bootstrapped_together(values, len(trials[0]), _rounds(trials, identities))
        found = {name: figure for rate in rates for name, figure in rate.figures(bootstrapped).items()}
        chances = {rate.trials.name: rate.chance(level=LEVEL / tests, seed=seed) for rate in rates}
        summaries = {}
        for rate in rates:
            chance = chances[rate.trials.name]
            if chance.p is None:
                found |= {name: none(chance.note) for name in (rate.ratio_name, rate.to_mean_name)}
            figures |= {name: found[name] for name in (rate.ratio_name, rate.to_mean_name)} | {rate.p_name: chance.p}
            beyond = chance.p is not None and chance.p * tests <= LEVEL
            summaries[rate.trials.name] = _summary(rate, found, chance, beyond=beyond)
        rows = []
        for place, group in enumerate(rates[0].groups):
            row: Report = {"group": group, "subjects": list(attribute.of.values()).count(group)}
            for rate in rates:
                errors, counted = rate.counts(np.ones(len(trials[0]), np.int64))
                name = rate.trials.name
                row[name] = found[rate.figure_name(group)]
                row |= {f"{name}_errors": int(errors[place]), f"{name}_trials": int(counted[place])}
                row[f"{name}_people"] = int(rate.people[place])
                row[f"{name}_verdict"] = chances[name].verdict(place, LEVEL / tests)
                if rate.trials.second is not None:
                    row[ACROSS] = _across(rate, group, identities)
            rows.append(row)
            if group != NOT_STATED:
                names = [name for name in (*(rate.trials.name for rate in rates), ACROSS) if name in row]
                figures |= {f"{name}[{attribute.name}={group}]": row[name] for name in names}
        sections[attribute.name] = {
            "rows": rows,
            "rates": summaries,
            "not_stated": attribute.not_stated,
            "of": dict(attribute.of),
        }
    return GroupReport(figures, sections)


def _rounds(trials: Sequence[Trials], identities: Identities) -> Iterator[Weights]:
    pairs = next((each for each in trials if each.second is not None), trials[0])
    return _weights(pairs, slice(None), identities)


def _weights(trials: Trials, chosen: slice | Bools, identities: Identities) -> Iterator[Weights]:
    first = [trials.people[place] for place in trials.first[chosen].tolist()]
    if trials.second is None:
        return identities.weights(first)
    return identities.weights(first, [trials.people[place] for place in trials.second[chosen].tolist()])


def _summary(rate: GroupedRate, found: Mapping[str, Figure], chance: Chance, *, beyond: bool) -> dict[str, Any]:
    judged = [group for group, used in zip(rate.groups, rate.judged, strict=True) if used]
    values = {group: found[rate.figure_name(group)].value or 0.0 for group in judged}
    return {
        "ratio": found[rate.ratio_name],
        "to_mean": found[rate.to_mean_name],
        "highest": max(judged, key=lambda group: values[group], default=None),
        "lowest": min(judged, key=lambda group: values[group], default=None),
        "p": chance.p,
        "beyond_chance": beyond,
        "note": chance.note,
    }


def _across(rate: GroupedRate, group: str, identities: Identities) -> Figure:
    """The rate of pairs with one person in the group, with Wilson's interval if nobody is in two of them."""
    counted = rate.across(group)
    second = rate.trials.second
    if second is None or not counted.any():
        return none("no pairs across groups")
    hits = rate.trials.errors[counted]
    people = len(np.union1d(rate.trials.first[counted], second[counted]))
    errors, pairs = int(hits.sum()), len(hits)
    if people < MIN_PEOPLE:
        return none(f"too few people: {people}, at least {MIN_PEOPLE} needed")
    if errors in (0, pairs) or people == 2 * pairs:
        units = min(pairs, people)
        return Figure(errors / pairs, *wilson(round(errors / pairs * units), units))

    def share(weights: Weights) -> dict[str, float | None]:
        total = int(weights.sum())
        return {ACROSS: int(weights[hits].sum()) / total if total else None}

    return bootstrapped_together(share, pairs, _weights(rate.trials, counted, identities))[ACROSS]
