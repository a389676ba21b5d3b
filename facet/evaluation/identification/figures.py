"""The figures of open-set identification, in the terms of ISO/IEC 19795-1 and NIST FRTE 1:N."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.intervals import Statistic, Weights

LOWEST_SIMILARITY = -1.0
_NOBODY = -np.inf
"""The similarity of a probe that has no candidate: it reaches no threshold."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that a probe resembles.

    Attributes:
        subject: who.
        similarity: cosine in [-1, 1] as the float32 that the server answered.
        image: the picture of the gallery that the best template is from.
    """

    subject: str
    similarity: float
    image: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """One probe and what the gallery answered.

    Attributes:
        image: the probe's picture.
        subject: who it is.
        mated: whether that subject was to be enrolled.
        candidates: the best subjects of the gallery by falling similarity.
        matched: whether the service decided, at its own threshold, that it is the first candidate.
        failure: why there was no search: FACE_NOT_FOUND, DECISION_REFUSED where the face was too poor, or the reason
            of another refusal; empty where there was one.
    """

    image: str
    subject: str
    mated: bool
    candidates: tuple[Candidate, ...] = ()
    matched: bool = False
    failure: str = ""

    @property
    def best(self) -> Candidate | None:
        """The first candidate; ``None`` where there is none."""
        return self.candidates[0] if self.candidates else None

    @property
    def similarity(self) -> float:
        """Of the first candidate; the lowest there is where there is none."""
        return self.candidates[0].similarity if self.candidates else LOWEST_SIMILARITY

    @property
    def mate_rank(self) -> int | None:
        """The place of the mate among the candidates, from 1; ``None`` where it is not among them."""
        places = (place for place, each in enumerate(self.candidates, 1) if self.mated and each.subject == self.subject)
        return next(places, None)

    @property
    def mate(self) -> Candidate | None:
        """The mate, where it is among the candidates."""
        rank = self.mate_rank
        return self.candidates[rank - 1] if rank else None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of all probes, as arrays of the shape ``(n,)``: all that the figures are made of.

    Attributes:
        subjects: who the probes are.
        mated: whether that subject was to be enrolled.
        similarity: of the best candidate, float32; minus infinity where there is none.
        rank: the mate's place among the candidates, from 1; 0 where it is not among them.
        matched: whether the service decided that the probe is its best candidate.
    """

    subjects: tuple[str, ...]
    mated: Bools
    similarity: NDArray[np.float32]
    rank: NDArray[np.intp]
    matched: Bools

    @classmethod
    def of(cls, searches: Sequence[Search]) -> Outcomes:
        """Of probes as they were answered."""
        return cls(
            subjects=tuple(search.subject for search in searches),
            mated=np.array([search.mated for search in searches], np.bool_),
            similarity=np.array([s.best.similarity if s.best else _NOBODY for s in searches], np.float32),
            rank=np.array([search.mate_rank or 0 for search in searches], np.intp),
            matched=np.array([search.matched for search in searches], np.bool_),
        )

    @classmethod
    def of_items(cls, items: Sequence[Mapping[str, Any]]) -> Outcomes:
        """Of the items of a report, as :func:`facet.evaluation.identification.report.items` tells them."""
        similarities = [_NOBODY if item["similarity"] is None else item["similarity"] for item in items]
        return cls(
            subjects=tuple(item["subject"] for item in items),
            mated=np.array([item["mated"] for item in items], np.bool_),
            similarity=np.array(similarities, np.float32),
            rank=np.array([item["rank"] or 0 for item in items], np.intp),
            matched=np.array([item["matched"] for item in items], np.bool_),
        )

    @property
    def found(self) -> Bools:
        """Whether the service decided that the probe is who it is."""
        found: Bools = self.matched & (self.rank == 1)
        return found

    def only(self, some: Bools) -> Outcomes:
        """Of some of the probes."""
        places = np.flatnonzero(some)
        return Outcomes(
            subjects=tuple(self.subjects[place] for place in places),
            mated=self.mated[places],
            similarity=self.similarity[places],
            rank=self.rank[places],
            matched=self.matched[places],
        )

    def shares(self) -> dict[str, tuple[Bools, Bools]]:
        """The figures that are shares of probes: which of them hit, and among which that is counted.

        ``rank_k``: the mate is among the first k candidates, whatever the similarity. ``fpir``: a non-mated probe is
        taken for somebody. ``fnir``: a mated one is not found to be who it is; ``recall`` is the rest. ``precision``:
        a match names the right subject. A probe that could not be searched with counts in every denominator: it is
        missed where it is mated, and no false positive where it is not.
        """
        ranks = {f"rank_{k}": ((self.rank > 0) & (self.rank <= k), self.mated) for k in (1, 5, 10)}
        return ranks | {
            "fpir": (self.matched, ~self.mated),
            "fnir": (~self.found, self.mated),
            "precision": (self.found, self.matched),
            "recall": (self.found, self.mated),
        }

    def at_fpir(self, target: float) -> AtFpir:
        """What a threshold chosen for a false-positive identification rate does."""
        return AtFpir(target, self.mated, self.similarity[None], (self.rank == 1)[None])


class AtFpir:
    """What thresholds chosen for a false-positive identification rate do, in one gallery or in several.

    The threshold is the smallest float32 such that at most the share ``target`` of the non-mated probes have a best
    similarity that reaches it. A mated probe is a false negative where its best candidate is not the mate, or does
    not reach the threshold.

    Args:
        target: the false-positive identification rate that may not be exceeded, [0, 1].
        mated: which probes are, shape ``(n,)``.
        similarity: of their best candidates in each of d galleries, float32 ``(d, n)``; minus infinity for none.
        right: whether that is the mate, ``(d, n)``.
    """

    def __init__(self, target: float, mated: Bools, similarity: NDArray[np.float32], right: Bools) -> None:
        self._target = target
        self._mated = np.flatnonzero(mated)
        nonmated = np.flatnonzero(~mated)
        falling = np.argsort(-similarity[:, nonmated], axis=1, kind="stable")
        self._nonmated = nonmated[falling]
        self._similarity = np.take_along_axis(similarity[:, nonmated], falling, axis=1)
        self._found_from = np.where(right, similarity, np.float32(_NOBODY))[:, self._mated]

    def thresholds(self, weights: Weights) -> NDArray[np.float32] | None:
        """Of each gallery, shape ``(d,)``; ``None`` without non-mated probes.

        Args:
            weights: how often each probe counts, shape ``(n,)``.
        """
        counted = weights[self._nonmated].cumsum(axis=1)
        if not counted.shape[1] or not counted[0, -1]:
            return None
        allowed = int(self._target * int(counted[0, -1]) + 1e-9)  # 0.29 * 100 is a little less than 29
        first_kept_out = (counted <= allowed).sum(axis=1, keepdims=True)
        padded = np.pad(self._similarity, ((0, 0), (0, 1)), constant_values=_NOBODY)
        highest = np.take_along_axis(padded, first_kept_out, axis=1)[:, 0]
        lowest = np.float32(LOWEST_SIMILARITY)
        return np.where(np.isneginf(highest), lowest, np.nextafter(highest, np.float32(2)))

    def threshold(self, weights: Weights) -> float | None:
        """The mean over the galleries."""
        thresholds = self.thresholds(weights)
        return None if thresholds is None else float(thresholds.mean())

    def fnir(self, weights: Weights) -> float | None:
        """The false-negative identification rate, the mean over the galleries; ``None`` where a kind has no probes."""
        thresholds, counts = self.thresholds(weights), weights[self._mated]
        if thresholds is None or not counts.sum():
            return None
        missed = self._found_from < thresholds[:, None]
        return float((missed @ counts).mean() / counts.sum())


def ratio(hits: Bools, among: Bools) -> Statistic:
    """The share of weighted items that hit, among some of them."""
    both = hits & among

    def statistic(weights: Weights) -> float | None:
        whole = int(weights[among].sum())
        return int(weights[both].sum()) / whole if whole else None

    return statistic


def f1(outcomes: Outcomes) -> Statistic:
    """The harmonic mean of precision and recall: twice the right matches by all matches and all mated probes."""
    found, matched, mated = outcomes.found, outcomes.matched, outcomes.mated

    def statistic(weights: Weights) -> float | None:
        whole = int(weights[matched].sum() + weights[mated].sum())
        return 2 * int(weights[found].sum()) / whole if whole else None

    return statistic


def statistics(outcomes: Outcomes, fpirs: Iterable[float]) -> dict[str, Statistic]:
    """Every figure by its name, to be resampled: of one run, or of two run side by side.

    Args:
        outcomes: of the probes.
        fpirs: the false-positive identification rates at which misses are told.
    """
    named: dict[str, Statistic] = {name: ratio(*share) for name, share in outcomes.shares().items()}
    named["f1"] = f1(outcomes)
    for fpir in fpirs:
        named[f"fnir@fpir={fpir}"] = outcomes.at_fpir(fpir).fnir
    return named


def det(outcomes: Outcomes, points: int) -> dict[str, list[float]]:
    """The detection error trade-off: FNIR against FPIR over all thresholds, at so many points at the most.

    Returns:
        ``x`` the FPIR, ``y`` the FNIR, ``threshold``; empty where a kind of probes is missing.
    """
    people = int((~outcomes.mated).sum())
    counts = np.unique(np.geomspace(1, max(people, 1), points).round().astype(int))
    every = np.ones(len(outcomes.mated), np.int64)
    curve: dict[str, list[float]] = {"x": [], "y": [], "threshold": []}
    for count in counts if people else ():
        point = outcomes.at_fpir(count / people)
        threshold, fnir = point.threshold(every), point.fnir(every)
        if threshold is None or fnir is None:
            break
        curve["x"].append(float((outcomes.similarity[~outcomes.mated] >= np.float32(threshold)).mean()))
        curve["y"].append(fnir)
        curve["threshold"].append(threshold)
    return curve


def worst_false_positives(searches: Iterable[Search], count: int) -> list[Search]:
    """Matches of a probe that nobody in the gallery is; the most similar first."""
    return _most_similar((search for search in searches if search.matched and not search.mated), count)


def worst_wrong_subjects(searches: Iterable[Search], count: int) -> list[Search]:
    """Matches of a mated probe with somebody else; the most similar first."""
    return _most_similar((s for s in searches if s.matched and s.mated and s.mate_rank != 1), count)


def worst_misses(searches: Iterable[Search], count: int) -> list[Search]:
    """Mated probes that matched nobody: those that could not be searched with, then the least similar mates first."""

    def similarity(search: Search) -> float:
        return search.mate.similarity if search.mate else LOWEST_SIMILARITY

    missed = [search for search in searches if search.mated and not search.matched]
    return sorted(missed, key=lambda search: (not search.failure, similarity(search)))[:count]


def _most_similar(searches: Iterable[Search], count: int) -> list[Search]:
    return sorted(searches, key=lambda search: -search.similarity)[:count]
