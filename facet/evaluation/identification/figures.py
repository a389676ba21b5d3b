"""Open-set identification figures, in the terms of ISO/IEC 19795-1 and NIST FRTE 1:N."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.identification.searches import LOWEST_SIMILARITY, Search
from facet.evaluation.intervals import Statistic, Weights

NO_CANDIDATE = -np.inf
"""The similarity of a probe without candidates: it reaches no threshold."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of n probes as arrays, from which the figures are computed.

    Attributes:
        subjects: the person in each probe.
        mated: whether the protocol enrols that person, ``(n,)``.
        similarity: similarity of the best candidate, float32 ``(n,)``; minus infinity without candidates.
        rank: rank of the mate among the candidates, from 1; 0 if it is not among them, ``(n,)``.
        matched: whether the service matched the probe with its best candidate, ``(n,)``.
    """

    subjects: tuple[str, ...]
    mated: Bools
    similarity: NDArray[np.float32]
    rank: NDArray[np.intp]
    matched: Bools

    @classmethod
    def from_searches(cls, searches: Sequence[Search]) -> Outcomes:
        """Build the arrays from answered probes."""
        return cls(
            subjects=tuple(search.subject for search in searches),
            mated=np.array([search.mated for search in searches], np.bool_),
            similarity=np.array([s.best.similarity if s.best else NO_CANDIDATE for s in searches], np.float32),
            rank=np.array([search.mate_rank or 0 for search in searches], np.intp),
            matched=np.array([search.matched for search in searches], np.bool_),
        )

    @classmethod
    def from_items(cls, items: Sequence[Mapping[str, Any]]) -> Outcomes:
        """Restore the arrays from the items of a report.

        Args:
            items: see :meth:`facet.evaluation.identification.report.IdentificationReport.items`.
        """
        similarities = [NO_CANDIDATE if item["similarity"] is None else item["similarity"] for item in items]
        return cls(
            subjects=tuple(item["subject"] for item in items),
            mated=np.array([item["mated"] for item in items], np.bool_),
            similarity=np.array(similarities, np.float32),
            rank=np.array([item["rank"] or 0 for item in items], np.intp),
            matched=np.array([item["matched"] for item in items], np.bool_),
        )

    @property
    def correct(self) -> Bools:
        """Whether the service matched the probe with its own subject, ``(n,)``."""
        correct: Bools = self.matched & (self.rank == 1)
        return correct

    def select(self, chosen: Bools) -> Outcomes:
        """The outcomes of the chosen probes."""
        indices = np.flatnonzero(chosen)
        return Outcomes(
            subjects=tuple(self.subjects[index] for index in indices),
            mated=self.mated[indices],
            similarity=self.similarity[indices],
            rank=self.rank[indices],
            matched=self.matched[indices],
        )

    def shares(self) -> dict[str, tuple[Bools, Bools]]:
        """The figures that are shares of probes, as two masks: the hits, and the probes they are counted among.

        ``rank_k``: the mate is among the first k candidates, at any similarity. ``fpir``: a nonmated probe is matched.
        ``fnir``: a mated probe is not matched with its own subject; ``recall`` is the complement. ``precision``: a
        match names the right subject. A probe that was not searched stays in every denominator: it is a miss if it is
        mated and no false positive if it is nonmated.
        """
        ranks = {f"rank_{k}": ((self.rank > 0) & (self.rank <= k), self.mated) for k in (1, 5, 10)}
        return ranks | {
            "fpir": (self.matched, ~self.mated),
            "fnir": (~self.correct, self.mated),
            "precision": (self.correct, self.matched),
            "recall": (self.correct, self.mated),
        }

    def at_fpir(self, target: float) -> OperatingPoint:
        """The operating point at a target false-positive identification rate."""
        return OperatingPoint(target, self.mated, self.similarity[None], (self.rank == 1)[None])


class OperatingPoint:
    """The threshold and FNIR at a target false-positive identification rate, in one gallery or the mean over several.

    The threshold is the smallest float32 that at most the share ``target`` of the nonmated probes' best candidates
    reach. A mated probe is a false negative if its best candidate is not the mate or does not reach the threshold.

    Args:
        target: maximum false-positive identification rate, [0, 1].
        mated: which probes are mated, shape ``(n,)``.
        similarity: similarity of the best candidate in each of d galleries, float32 ``(d, n)``; minus infinity without
            candidates.
        is_mate: whether that candidate is the mate, ``(d, n)``.
    """

    def __init__(self, target: float, mated: Bools, similarity: NDArray[np.float32], is_mate: Bools) -> None:
        self._target = target
        self._mated = np.flatnonzero(mated)
        nonmated = np.flatnonzero(~mated)
        falling = np.argsort(-similarity[:, nonmated], axis=1, kind="stable")
        self._nonmated = nonmated[falling]
        self._similarity = np.take_along_axis(similarity[:, nonmated], falling, axis=1)
        self._mate_similarity = np.where(is_mate, similarity, np.float32(NO_CANDIDATE))[:, self._mated]

    def thresholds(self, weights: Weights) -> NDArray[np.float32] | None:
        """The threshold in each gallery, shape ``(d,)``; ``None`` without nonmated probes.

        Args:
            weights: how often each probe counts, shape ``(n,)``.
        """
        counts = weights[self._nonmated].cumsum(axis=1)
        if not counts.shape[1] or not counts[0, -1]:
            return None
        allowed = int(self._target * int(counts[0, -1]) + 1e-9)  # 0.29 * 100 is slightly less than 29
        first_rejected = (counts <= allowed).sum(axis=1, keepdims=True)
        padded = np.pad(self._similarity, ((0, 0), (0, 1)), constant_values=NO_CANDIDATE)
        highest = np.take_along_axis(padded, first_rejected, axis=1)[:, 0]
        lowest = np.float32(LOWEST_SIMILARITY)
        return np.where(np.isneginf(highest), lowest, np.nextafter(highest, np.float32(2)))

    def threshold(self, weights: Weights) -> float | None:
        """The mean threshold over the galleries; ``None`` without nonmated probes."""
        thresholds = self.thresholds(weights)
        return None if thresholds is None else float(thresholds.mean())

    def fnir(self, weights: Weights) -> float | None:
        """The mean FNIR over the galleries; ``None`` without mated or without nonmated probes."""
        thresholds, counts = self.thresholds(weights), weights[self._mated]
        if thresholds is None or not counts.sum():
            return None
        missed = self._mate_similarity < thresholds[:, None]
        return float((missed @ counts).mean() / counts.sum())


def share_statistic(hits: Bools, among: Bools) -> Statistic:
    """The share of hits among some of the weighted items."""
    both = hits & among

    def statistic(weights: Weights) -> float | None:
        total = int(weights[among].sum())
        return int(weights[both].sum()) / total if total else None

    return statistic


def f1_statistic(outcomes: Outcomes) -> Statistic:
    """The harmonic mean of precision and recall: twice the correct matches over all matches and all mated probes."""
    correct, matched, mated = outcomes.correct, outcomes.matched, outcomes.mated

    def statistic(weights: Weights) -> float | None:
        total = int(weights[matched].sum() + weights[mated].sum())
        return 2 * int(weights[correct].sum()) / total if total else None

    return statistic


def statistics(outcomes: Outcomes, fpirs: Iterable[float]) -> dict[str, Statistic]:
    """All figures by name, as functions of resampled weights.

    Args:
        outcomes: the outcomes of the probes.
        fpirs: the false-positive identification rates at which FNIR is reported.
    """
    by_name: dict[str, Statistic] = {name: share_statistic(*masks) for name, masks in outcomes.shares().items()}
    by_name["f1"] = f1_statistic(outcomes)
    for fpir in fpirs:
        by_name[f"fnir@fpir={fpir}"] = outcomes.at_fpir(fpir).fnir
    return by_name


def det_curve(outcomes: Outcomes, points: int) -> dict[str, list[float]]:
    """The detection error trade-off: FNIR against FPIR over all thresholds.

    Args:
        outcomes: the outcomes of the probes.
        points: maximum number of points.

    Returns:
        ``x`` the FPIR, ``y`` the FNIR, ``threshold``; empty without mated or without nonmated probes.
    """
    nonmated = int((~outcomes.mated).sum())
    counts = np.unique(np.geomspace(1, max(nonmated, 1), points).round().astype(int))
    all_once = np.ones(len(outcomes.mated), np.int64)
    curve: dict[str, list[float]] = {"x": [], "y": [], "threshold": []}
    for count in counts if nonmated else ():
        point = outcomes.at_fpir(count / nonmated)
        threshold, fnir = point.threshold(all_once), point.fnir(all_once)
        if threshold is None or fnir is None:
            break
        curve["x"].append(float((outcomes.similarity[~outcomes.mated] >= np.float32(threshold)).mean()))
        curve["y"].append(fnir)
        curve["threshold"].append(threshold)
    return curve
