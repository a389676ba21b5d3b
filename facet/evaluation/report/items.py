"""The items of a document read again, so that its main figures can be resampled, alone or side by side with another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from facet.evaluation.identification.figures import Outcomes, statistics
from facet.evaluation.identification.report import FPIRS
from facet.evaluation.intervals import Identities, Weights
from facet.evaluation.report.document import Report, value_of
from facet.evaluation.verification.report import ScoredPairs, bootstrap_rounds

Values: TypeAlias = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Resamplable:
    """What a document tells of each item.

    Attributes:
        count: how many items there are.
        identities: of them, named so that a generator of the same seed draws the same.
        rounds: resampled weights of the items, each time anew.
        values: the main figures by name, of weighted items.
    """

    count: int
    identities: Identities
    rounds: Callable[[], Iterator[Weights]]
    values: Callable[[Weights], Values]


def resamplable(report: Report, *, seed: int) -> Resamplable | None:
    """The items of a document; ``None`` of a kind that has none to draw again, or where there are none."""
    items = report["items"]
    if not items:
        return None
    if report["kind"] == "verification":
        return _pairs(items, value_of(report, "deployed_threshold") or 0.0, seed)
    if report["kind"] == "identification":
        return _probes(items, seed)
    return _pictures(items, seed) if report["kind"] == "detection" else None


def _pairs(columns: Mapping[str, Any], threshold: float, seed: int) -> Resamplable:
    subjects = columns["subjects"]
    first, second = [subjects[at] for at in columns["a"]], [subjects[at] for at in columns["b"]]
    people = Identities(subjects, seed=seed, rounds=bootstrap_rounds(len(first)))
    scored = ScoredPairs.from_items(columns, threshold)
    return Resamplable(len(first), people, lambda: people.weights(first, second), scored.values)


def _probes(items: Sequence[Mapping[str, Any]], seed: int) -> Resamplable:
    outcomes = Outcomes.from_items(items)
    people = Identities(outcomes.subjects, seed=seed)
    named = statistics(outcomes, FPIRS)

    def values(weights: Weights) -> Values:
        return {name: statistic(weights) for name, statistic in named.items()}

    return Resamplable(len(items), people, lambda: people.weights(outcomes.subjects), values)


def _pictures(items: Sequence[Mapping[str, Any]], seed: int) -> Resamplable:
    images = [item["image"] for item in items]
    pictures = Identities(images, seed=seed)
    right, wrong, objects = (np.array([item[key] for item in items], np.int64) for key in ("tp", "fp", "faces"))

    def values(weights: Weights) -> Values:
        hits, mistaken, all_of_them = int(right @ weights), int(wrong @ weights), int(objects @ weights)
        return {
            "precision": _share(hits, hits + mistaken),
            "recall": _share(hits, all_of_them),
            "f1": _share(2 * hits, hits + mistaken + all_of_them),
            "false_positives_per_image": _share(mistaken, int(weights.sum())),
        }

    return Resamplable(len(items), pictures, lambda: pictures.weights(images), values)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
