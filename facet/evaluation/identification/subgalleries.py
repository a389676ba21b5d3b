"""Error against gallery size and against templates per subject, computed from the answers of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.identification.figures import Bools, OperatingPoint, Outcomes
from facet.evaluation.identification.searches import Search
from facet.evaluation.intervals import Figure, Identities, Statistic, Weights, bootstrapped, none, share, widened

Row = dict[str, Any]

TARGET_FPIR = 0.01
"""The false-positive identification rate at which FNIR is reported."""
DRAWS = 10
"""Random galleries of each size."""
HALVINGS = 4
"""Sizes below the whole. At a sixteenth, 1 in 600 searches has none of its hundred candidates in the gallery."""

_MIN_SUBJECTS = 10
_TEMPLATE_GROUPS = {"0": (0, 0), "1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6 and more": (6, np.inf)}
_TOO_FEW_NONMATED = "too few nonmated probes"


@dataclass(frozen=True, slots=True)
class SubgalleryAnswers:
    """The best candidate of each of n probes in a smaller gallery.

    Attributes:
        similarity: similarity of the best candidate, float32 ``(n,)``; minus infinity without candidates.
        is_mate: whether the best candidate is the mate, ``(n,)``.
        beyond: whether the best candidate is unknown because it is beyond the last returned one, ``(n,)``.
    """

    similarity: NDArray[np.float32]
    is_mate: Bools
    beyond: Bools


class CandidateTable:
    """The candidates of all probes, from which the answers of smaller galleries follow.

    Args:
        searches: the n probes with their best candidates, by falling similarity.
        subjects: all enrolled subjects.
    """

    def __init__(self, searches: Sequence[Search], subjects: Sequence[str]) -> None:
        indices = {subject: index for index, subject in enumerate(subjects)}
        longest = max((len(search.candidates) for search in searches), default=0)
        self.subjects = len(indices)
        self._candidates = np.full((len(searches), longest + 1), -1, np.intp)
        self._similarity = np.full((len(searches), longest + 1), -np.inf, np.float32)
        for row, search in enumerate(searches):
            count = len(search.candidates)
            self._candidates[row, :count] = [indices[each.subject] for each in search.candidates]
            self._similarity[row, :count] = [each.similarity for each in search.candidates]
        mates = [indices.get(search.subject, -1) if search.mated else -1 for search in searches]
        self._mate = np.array(mates, np.intp)
        self._truncated = np.array([0 < len(search.candidates) < self.subjects for search in searches], np.bool_)

    def draw(self, size: int, rng: np.random.Generator) -> SubgalleryAnswers:
        """Draw a gallery of ``size`` subjects.

        The mate of a mated probe is always in it: if it was not drawn, it replaces the last subject drawn.
        """
        permutation = rng.permutation(self.subjects)
        position = np.append(permutation, self.subjects)  # the last one is that of index -1: never drawn
        limit = np.where(position[self._mate] < size, size, size - 1)
        limit[self._mate < 0] = size
        is_mate = (self._candidates == self._mate[:, None]) & (self._candidates >= 0)
        kept = (position[self._candidates] < limit[:, None]) | is_mate
        first = kept.argmax(axis=1)[:, None]
        has_candidate = kept.any(axis=1)
        similarity = np.take_along_axis(self._similarity, first, axis=1)[:, 0]
        best = np.take_along_axis(self._candidates, first, axis=1)[:, 0]
        return SubgalleryAnswers(
            similarity=np.where(has_candidate, similarity, np.float32(-np.inf)),
            is_mate=has_candidate & (best == self._mate),
            beyond=~has_candidate & self._truncated,
        )


def by_gallery_size(
    searches: Sequence[Search], subjects: Sequence[str], threshold: float, *, identities: Identities, seed: int
) -> list[Row]:
    """Compute the errors in random galleries of 1/16, 1/8, 1/4 and 1/2 of the subjects, and in the whole gallery.

    The answer of a smaller gallery is the best returned candidate that it contains. If it contains none of them, the
    best candidate is less similar than the last returned one. The probe then counts as a miss if it is mated and as no
    false positive if it is nonmated, which is correct at any threshold above that similarity. ``beyond`` counts them.

    Args:
        searches: the searches in the whole gallery, with their best candidates.
        subjects: all enrolled subjects.
        threshold: the deployed threshold.
        identities: the people in the probes.
        seed: seed of the draws.

    Returns:
        A row per size, the smallest first: ``subjects``, ``draws``; means over the draws of ``fpir`` and ``fnir`` at
        the deployed threshold and of ``fnir@fpir=0.01`` at a threshold chosen for each gallery;
        ``fpir_if_independent``, predicted from the whole gallery if every subject has the same chance of a false
        match; ``beyond``, a share of the searches.
    """
    if not searches or not subjects:
        return []
    table, rng = CandidateTable(searches, subjects), np.random.default_rng(seed)
    whole = table.subjects
    sizes = [whole, *(size for halving in range(1, HALVINGS + 1) if (size := whole >> halving) >= _MIN_SUBJECTS)]
    outcomes = Outcomes.from_searches(searches)
    rows: list[Row] = []
    for size in sizes:
        draws = [table.draw(size, rng) for _ in range(1 if size == whole else DRAWS)]
        rows.append({"subjects": size, "draws": len(draws)} | _errors(outcomes, draws, threshold, identities))
    fpir = rows[0]["fpir"].value
    for row in rows:
        predicted = None if fpir is None else 1 - (1 - fpir) ** (row["subjects"] / whole)
        row["fpir_if_independent"] = predicted
    return rows[::-1]


def by_templates(
    outcomes: Outcomes, templates: Mapping[str, int], threshold: float | None, *, identities: Identities
) -> list[Row]:
    """Compute the errors of mated probes, grouped by the number of templates of their subject.

    Args:
        outcomes: the outcomes of all probes.
        templates: number of templates by subject; absent subjects have none.
        threshold: the threshold at :data:`TARGET_FPIR` over all nonmated probes; ``None`` if there is none.
        identities: the people in the probes.

    Returns:
        A row per group that has probes: ``templates``, ``subjects``, ``probes``, ``rank_1``, ``fnir`` at the deployed
        threshold, ``fnir@fpir=0.01``.
    """
    counts = np.array([templates.get(subject, 0) for subject in outcomes.subjects])
    rows: list[Row] = []
    for name, (low, high) in _TEMPLATE_GROUPS.items():
        group = outcomes.select(outcomes.mated & (counts >= low) & (counts <= high))
        if not group.subjects:
            continue
        is_mate = group.rank == 1
        missed = None if threshold is None else ~(is_mate & (group.similarity >= np.float32(threshold)))
        rows.append(
            {
                "templates": name,
                "subjects": len(set(group.subjects)),
                "probes": len(group.subjects),
                "rank_1": share(is_mate, group.subjects, identities),
                "fnir": share(~group.correct, group.subjects, identities),
                f"fnir@fpir={TARGET_FPIR}": none(_TOO_FEW_NONMATED)
                if missed is None
                else share(missed, group.subjects, identities),
            }
        )
    return rows


def _errors(outcomes: Outcomes, draws: Sequence[SubgalleryAnswers], threshold: float, identities: Identities) -> Row:
    similarity = np.stack([each.similarity for each in draws])
    is_mate = np.stack([each.is_mate for each in draws])
    reaches = similarity >= np.float32(threshold)
    mated = outcomes.mated
    people = len(set(outcomes.select(mated).subjects))
    too_few = int((~mated).sum()) * TARGET_FPIR < 1
    point = OperatingPoint(TARGET_FPIR, mated, similarity, is_mate)
    fnir = bootstrapped(point.fnir, len(mated), identities.weights(outcomes.subjects))
    return {
        "fpir": _mean_share(reaches, ~mated, outcomes.subjects, identities),
        "fnir": _mean_share(~(reaches & is_mate), mated, outcomes.subjects, identities),
        f"fnir@fpir={TARGET_FPIR}": none(_TOO_FEW_NONMATED) if too_few else widened(fnir, people),
        "beyond": float(np.mean([each.beyond for each in draws])),
    }


def _mean_share(hits: Bools, among: Bools, subjects: Sequence[str], identities: Identities) -> Figure:
    """The share of hits among some of the probes, averaged over the draws ``(d, n)``."""
    people = [subject for subject, counts in zip(subjects, among, strict=True) if counts]
    if len(hits) == 1 or not people:
        return share(hits[0, among], people, identities)
    means = hits[:, among].mean(axis=0)
    figure = bootstrapped(_weighted_mean(means), len(people), identities.weights(people))
    return widened(figure, len(set(people)))


def _weighted_mean(values: NDArray[np.float64]) -> Statistic:
    def statistic(weights: Weights) -> float | None:
        total = int(weights.sum())
        return float(weights @ values) / total if total else None

    return statistic
