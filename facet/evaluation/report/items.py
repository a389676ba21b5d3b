"""Restores the items of a report, so that its main figures can be resampled, alone or paired with another report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from facet.evaluation.groups.attributes import from_report
from facet.evaluation.groups.rates import GroupedRate
from facet.evaluation.groups.trials import Trials, of_pair_items, of_searches
from facet.evaluation.identification.figures import Outcomes, statistics
from facet.evaluation.identification.report import FPIRS
from facet.evaluation.intervals import Identities, Weights
from facet.evaluation.report.document import Report, value_of
from facet.evaluation.verification.report import ScoredPairs, bootstrap_rounds

Values: TypeAlias = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class ReportItems:
    """The items of a report, ready to be resampled.

    Attributes:
        count: number of items.
        rounds: yields the resampled weights of the items, from the start at each call. The same seed and identities
            give the same rounds.
        values: computes the main figures by name from weighted items.
    """

    count: int
    rounds: Callable[[], Iterator[Weights]]
    values: Callable[[Weights], Values]


def report_items(report: Report, *, seed: int) -> ReportItems | None:
    """The items of a report; ``None`` if there are none or this kind cannot be resampled."""
    items = report["items"]
    if not items:
        return None
    groups = report.get("groups") or {}
    if report["kind"] == "verification":
        return _pairs(items, value_of(report, "deployed_threshold") or 0.0, groups, seed)
    if report["kind"] == "identification":
        return _probes(items, groups, seed)
    return _pictures(items, seed) if report["kind"] == "detection" else None


def _pairs(columns: Mapping[str, Any], threshold: float, groups: Mapping[str, Any], seed: int) -> ReportItems:
    subjects = columns["subjects"]
    first, second = [subjects[index] for index in columns["a"]], [subjects[index] for index in columns["b"]]
    people = Identities(subjects, seed=seed, rounds=bootstrap_rounds(len(first)))
    scored = ScoredPairs.from_items(columns, threshold)
    by_group = _by_group(groups, of_pair_items(columns, threshold))
    return ReportItems(
        len(first),
        lambda: people.weights(first, second),
        lambda weights: {**scored.values(weights), **by_group(weights)},
    )


def _probes(items: Sequence[Mapping[str, Any]], groups: Mapping[str, Any], seed: int) -> ReportItems:
    outcomes = Outcomes.from_items(items)
    people = Identities(outcomes.subjects, seed=seed)
    by_name = statistics(outcomes, FPIRS)
    by_group = _by_group(groups, of_searches(outcomes))

    def values(weights: Weights) -> Values:
        return {name: statistic(weights) for name, statistic in by_name.items()} | by_group(weights)

    return ReportItems(len(items), lambda: people.weights(outcomes.subjects), values)


def _by_group(groups: Mapping[str, Any], trials: Sequence[Trials]) -> Callable[[Weights], dict[str, float | None]]:
    """The error rates of the groups of a report by name, from weighted items."""
    rates = [GroupedRate(attribute, each) for attribute in from_report(groups) for each in trials]

    def values(weights: Weights) -> dict[str, float | None]:
        return {name: value for rate in rates for name, value in rate.values(weights).items()}

    return values


def _pictures(items: Sequence[Mapping[str, Any]], seed: int) -> ReportItems:
    images = [item["image"] for item in items]
    pictures = Identities(images, seed=seed)
    true_positives, false_positives, objects = (
        np.array([item[key] for item in items], np.int64) for key in ("tp", "fp", "faces")
    )

    def values(weights: Weights) -> Values:
        right, wrong, total = int(true_positives @ weights), int(false_positives @ weights), int(objects @ weights)
        return {
            "precision": _share(right, right + wrong),
            "recall": _share(right, total),
            "f1": _share(2 * right, right + wrong + total),
            "false_positives_per_image": _share(wrong, int(weights.sum())),
        }

    return ReportItems(len(items), lambda: pictures.weights(images), values)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
