"""What error rates by group are counted over: the probes of a search, or pairs of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.identification.figures import Outcomes

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of an error rate among the n items of a report.

    Attributes:
        name: name of the rate, such as "fnir".
        unit: what a trial is, in the plural.
        errors: whether each item is an error, shape ``(n,)``.
        counted: whether the rate counts it.
        people: all people in the items.
        first: the person of each item, as a place in ``people``.
        second: the other person, if the items are pairs; otherwise ``None``.
    """

    name: str
    unit: str
    errors: Bools
    counted: Bools
    people: tuple[str, ...]
    first: NDArray[np.intp]
    second: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.first)


def of_searches(outcomes: Outcomes) -> tuple[Trials, ...]:
    """The trials of FNIR, by the subject of a mated probe, and of FPIR, by that of a nonmated one.

    Both are of the decisions that the server returned.
    """
    people = tuple(sorted(set(outcomes.subjects)))
    places = {person: place for place, person in enumerate(people)}
    first = np.array([places[subject] for subject in outcomes.subjects], np.intp)
    return (
        Trials("fnir", "mated probes", ~outcomes.correct, outcomes.mated, people, first),
        Trials("fpir", "nonmated probes", outcomes.matched, ~outcomes.mated, people, first),
    )


def of_pairs(
    subjects: Sequence[str], a: NDArray[np.intp], b: NDArray[np.intp], same: Bools, accepted: Bools
) -> tuple[Trials, ...]:
    """The trials of FNMR, by the subject of a mated pair, and of FMR, by both subjects of a nonmated one.

    Args:
        subjects: the person in each picture.
        a: first picture of each pair, shape ``(n,)``.
        b: second picture of each pair.
        same: whether the pair is mated.
        accepted: whether the deployed threshold accepts it.
    """
    people = tuple(sorted(set(subjects)))
    places = {person: place for place, person in enumerate(people)}
    of_picture = np.array([places[subject] for subject in subjects], np.intp)
    first, second = of_picture[a], of_picture[b]
    return (
        Trials("fnmr", "mated pairs", ~accepted, same, people, first),
        Trials("fmr", "nonmated pairs", accepted, ~same, people, first, second),
    )


def of_pair_items(columns: Mapping[str, Any], threshold: float) -> tuple[Trials, ...]:
    """As :func:`of_pairs`, from the items of a report and its deployed threshold."""
    similarity = np.array(columns["similarity"], np.float32)
    a, b = (np.array(columns[side], np.intp) for side in "ab")
    same = np.array(columns["same"], np.bool_)
    return of_pairs(columns["subjects"], a, b, same, similarity >= np.float32(threshold))
