"""The paired differences of two models, and whether they are beyond chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.comparison.labelled_set import PairsOfFiles
from facet.evaluation.comparison.sign_test import sign_test
from facet.evaluation.identification.figures import OperatingPoint, Outcomes, share_statistic
from facet.evaluation.intervals import (
    RULE_OF_THREE,
    Figure,
    Identities,
    Weights,
    bootstrapped_together,
    none,
    widened,
)
from facet.evaluation.verification.figures import LfwFolds, RocCurve, far_name, is_measurable
from facet.evaluation.verification.report import bootstrap_rounds

LEVEL = 0.05
"""The probability below which a difference is said to be beyond chance."""

Verdict = Literal["A is better", "B is better", "within chance", "same", "not measured"]

_NO_MATED = "no mated probes"

_Statistics: TypeAlias = Callable[[Weights], Mapping[str, float | None]]
"""Computes figures by name from weighted items."""


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of a figure, which each model gets right or wrong.

    Attributes:
        places: of the trials, among the probes or pairs, shape ``(n,)``.
        people: the person of each trial, whose other trials depend on it.
        a: whether the first model is right.
        b: whether the second one is.
    """

    places: NDArray[np.intp]
    people: tuple[str, ...]
    a: NDArray[np.bool_]
    b: NDArray[np.bool_]

    def chance(self) -> float:
        """See :func:`facet.evaluation.comparison.sign_test.sign_test`."""
        _, person = np.unique(self.people, return_inverse=True)
        differences = self.b.astype(np.int64) - self.a.astype(np.int64)
        return sign_test(np.bincount(person, differences, minlength=1).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure of both models.

    Attributes:
        name: of the figure.
        a: its value for the first model, with its interval.
        b: for the second one.
        difference: b - a, with the interval of paired resamples.
        chance: probability that chance alone gives such a difference; ``None`` if it is not measured.
        trials: what it rests on; ``None`` if it is not measured.
        verdict: "within chance" unless the interval excludes 0 and ``chance`` is at most :data:`LEVEL`; "same" if
            both models are right about the same trials.
        thresholds: of both models, at which their decisions are compared; empty without one.
    """

    name: str
    a: Figure
    b: Figure
    difference: Figure
    chance: float | None
    trials: Trials | None
    verdict: Verdict
    thresholds: tuple[float, ...] = ()

    @property
    def only_a(self) -> int:
        """Number of trials that only the first model gets right."""
        return 0 if self.trials is None else int((self.trials.a & ~self.trials.b).sum())

    @property
    def only_b(self) -> int:
        """Number of trials that only the second model gets right."""
        return 0 if self.trials is None else int((self.trials.b & ~self.trials.a).sum())


def compare_identification(a: Outcomes, b: Outcomes, *, fpir: float, seed: int) -> list[Compared]:
    """Rank-1, and FNIR at a false-positive identification rate, each model at its own threshold for that rate.

    Args:
        a: the answers of the first model.
        b: those of the second one, to the same probes.
        fpir: the rate.
        seed: of the resampling of people.
    """
    fnir = f"fnir@fpir={fpir:g}"
    points = [each.at_fpir(fpir) for each in (a, b)]

    def statistics(outcomes: Outcomes, point: OperatingPoint) -> _Statistics:
        rank_1 = share_statistic(outcomes.rank == 1, outcomes.mated)
        return lambda weights: {"rank_1": rank_1(weights), fnir: point.fnir(weights)}

    rounds = Identities(a.subjects, seed=seed).weights(a.subjects)
    found = _resampled(statistics(a, points[0]), statistics(b, points[1]), len(a.subjects), rounds)
    mated = np.flatnonzero(a.mated)
    people = _of(a.subjects, mated)
    first = [(each.rank == 1)[mated] for each in (a, b)]
    nonmated, needed = int((~a.mated).sum()), math.ceil(1 / fpir - 1e-9)
    if not len(mated):
        return [_missing("rank_1", _NO_MATED), _missing(fnir, _NO_MATED)]
    rank_1 = _compared("rank_1", found, Trials(mated, people, *first))
    if nonmated < needed:
        return [rank_1, _missing(fnir, f"too few nonmated probes: {nonmated}, at least {needed} needed")]
    thresholds = tuple(_number(point.threshold(np.ones(len(a.subjects), np.int64))) for point in points)
    hits = [
        right & (each.similarity[mated] >= np.float32(threshold))
        for right, each, threshold in zip(first, (a, b), thresholds, strict=True)
    ]
    return [rank_1, _compared(fnir, found, Trials(mated, people, *hits), thresholds, lower_is_better=True)]


def compare_verification(
    labelled: PairsOfFiles, a: NDArray[np.float32], b: NDArray[np.float32], *, far: float, seed: int
) -> list[Compared]:
    """Accuracy by folds, and TAR at a false accept rate, each model at its own threshold for that rate.

    The pairs of a person are taken together in the test: those whose reference shows the person.

    Args:
        labelled: the pairs.
        a: the similarities of the first model, shape ``(n,)``.
        b: those of the second one.
        far: the rate.
        seed: of the resampling of people.
    """
    pairs, judged, tar = labelled.pairs, labelled.judged, f"tar@{far_name(far)}"
    of_a, of_b = ([pairs.subjects[image] for image in side.tolist()] for side in (pairs.a, pairs.b))
    rounds = Identities(pairs.subjects, seed=seed, rounds=bootstrap_rounds(len(pairs))).weights(of_a, of_b)
    same, (_, fold) = pairs.same[judged], np.unique(pairs.folds[judged], return_inverse=True)
    curves = [RocCurve(each, pairs.same) for each in (a, b)]
    folds = [LfwFolds(each[judged], same, fold) for each in (a, b)]

    def statistics(curve: RocCurve, by_fold: LfwFolds) -> _Statistics:
        def values(weights: Weights) -> Mapping[str, float | None]:
            points, accuracies = curve.points(weights), by_fold.accuracies(weights[judged])[0]
            return {
                "accuracy": float(accuracies.mean()) if len(accuracies) else None,
                tar: points.at_far(far)[0] if points else None,
            }

        return values

    first, second = (statistics(*each) for each in zip(curves, folds, strict=True))
    found = _resampled(first, second, len(pairs), rounds)
    once = np.ones(len(pairs), np.int64)
    thresholds = [each.accuracies(once[judged])[1][fold] for each in folds]
    right = [(each[judged] >= threshold) == same for each, threshold in zip((a, b), thresholds, strict=True)]
    accuracy = _compared("accuracy", found, Trials(judged, _of(of_a, judged), *right))
    nonmated = int((~pairs.same).sum())
    if not is_measurable(far, nonmated):
        return [accuracy, _missing(tar, f"too few nonmated pairs: {nonmated}, {1 / far:.0f} needed")]
    mated = np.flatnonzero(pairs.same)
    at = tuple(points.at_far(far)[1] for curve in curves if (points := curve.points(once)))
    hits = [each[mated] >= threshold for each, threshold in zip((a, b), at, strict=True)]
    return [accuracy, _compared(tar, found, Trials(mated, _of(of_a, mated), *hits), at)]


def _resampled(a: _Statistics, b: _Statistics, items: int, rounds: Iterator[Weights]) -> dict[tuple[str, str], Figure]:
    """The figures of both models and their differences, as ("a", name), ("b", name) and ("difference", name)."""

    def together(weights: Weights) -> Mapping[tuple[str, str], float | None]:
        first, second = a(weights), b(weights)
        values: dict[tuple[str, str], float | None] = {("a", name): value for name, value in first.items()}
        values |= {("b", name): value for name, value in second.items()}
        for name, before in first.items():
            after = second[name]
            values["difference", name] = None if before is None or after is None else after - before
        return values

    return bootstrapped_together(together, items, rounds)


def _compared(
    name: str,
    found: Mapping[tuple[str, str], Figure],
    trials: Trials,
    thresholds: tuple[float, ...] = (),
    *,
    lower_is_better: bool = False,
) -> Compared:
    people = len(set(trials.people))
    a, b = (widened(found[side, name], people) for side in ("a", "b"))
    difference, chance = found["difference", name], trials.chance()
    differ = bool((trials.a != trials.b).any())
    if not differ:
        difference = _unseen(difference, people)
    verdict: Verdict = "within chance" if differ else "same"
    low, high = difference.low, difference.high
    if low is not None and high is not None and not low <= 0 <= high and chance <= LEVEL:
        verdict = "A is better" if (low > 0) == lower_is_better else "B is better"
    return Compared(name, a, b, difference, chance, trials, verdict, thresholds)


def _unseen(difference: Figure, people: int) -> Figure:
    """A difference of which no trial shows anything: by the rule of three it may be this large either way."""
    if difference.low is None:
        return difference
    reach = min(1.0, RULE_OF_THREE / people)
    return replace(difference, low=-reach, high=reach)


def _of(people: Sequence[str], places: NDArray[np.intp]) -> tuple[str, ...]:
    return tuple(people[place] for place in places.tolist())


def _missing(name: str, why: str) -> Compared:
    return Compared(name, none(why), none(why), none(why), None, None, "not measured")


def _number(value: float | None) -> float:
    return 0.0 if value is None else value
