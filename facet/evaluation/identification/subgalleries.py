"""Error against the size of a gallery and the templates of a subject: tables made of the answers of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.identification.figures import AtFpir, Bools, Outcomes, Search
from facet.evaluation.intervals import Figure, Identities, Statistic, Weights, bootstrapped, none, share, widened

Row = dict[str, Any]

TARGET = 0.01
"""The false-positive identification rate at which misses are told."""
DRAWS = 10
HALVINGS = 4
"""Of a sixteenth of a gallery, the first hundred candidates hold nobody once in 600 searches; of a smaller one more."""
_LEAST_SUBJECTS = 10
_GROUPS = {"0": (0, 0), "1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6 and more": (6, np.inf)}


@dataclass(frozen=True, slots=True)
class Drawn:
    """What all probes would have been answered in a smaller gallery.

    Attributes:
        similarity: of the best candidate among the subjects drawn, float32 ``(n,)``; minus infinity for none.
        right: whether that is the mate, ``(n,)``.
        beyond: whether none of its candidates was drawn and there are more than were answered, ``(n,)``.
    """

    similarity: NDArray[np.float32]
    right: Bools
    beyond: Bools


class Answered:
    """The candidates of all probes, from which the answers of smaller galleries follow.

    Args:
        searches: the n probes, each with its best candidates by falling similarity.
        subjects: everybody who is enrolled.
    """

    def __init__(self, searches: Sequence[Search], subjects: Sequence[str]) -> None:
        places = {subject: place for place, subject in enumerate(subjects)}
        longest = max((len(search.candidates) for search in searches), default=0)
        self.subjects = len(places)
        self._who = np.full((len(searches), longest + 1), -1, np.intp)
        self._similarity = np.full((len(searches), longest + 1), -np.inf, np.float32)
        for row, search in enumerate(searches):
            count = len(search.candidates)
            self._who[row, :count] = [places[each.subject] for each in search.candidates]
            self._similarity[row, :count] = [each.similarity for each in search.candidates]
        self._mate = np.array([places.get(search.subject, -1) if search.mated else -1 for search in searches], np.intp)
        self._cut = np.array([0 < len(search.candidates) < self.subjects for search in searches], np.bool_)

    def drawn(self, size: int, rng: np.random.Generator) -> Drawn:
        """Draw a gallery of so many subjects.

        The mate of a mated probe is always in it: where it was not drawn, it takes the place of one who was.
        """
        place = rng.permutation(self.subjects)
        where = np.append(place, self.subjects)  # of -1, nobody: behind everybody
        taken = np.where(where[self._mate] < size, size, size - 1)
        taken[self._mate < 0] = size
        kept = (where[self._who] < taken[:, None]) | ((self._who == self._mate[:, None]) & (self._who >= 0))
        first = kept.argmax(axis=1)[:, None]
        someone = kept.any(axis=1)
        similarity = np.take_along_axis(self._similarity, first, axis=1)[:, 0]
        best = np.take_along_axis(self._who, first, axis=1)[:, 0]
        return Drawn(
            similarity=np.where(someone, similarity, np.float32(-np.inf)),
            right=someone & (best == self._mate),
            beyond=~someone & self._cut,
        )


def by_gallery_size(
    searches: Sequence[Search], subjects: Sequence[str], threshold: float, *, identities: Identities, seed: int
) -> list[Row]:
    """The errors in random sub-galleries of 1/16, 1/8, 1/4 and 1/2 of the subjects, and in the whole.

    A sub-gallery's answer to a probe is its best candidate among those drawn. Where none of the answered candidates
    was drawn the best is beyond the last of them: such a probe is missed where it is mated and no false positive
    where it is not, which is what it is at any threshold above that last similarity; ``beyond`` counts them.

    Args:
        searches: of the whole gallery, each with its best candidates.
        subjects: everybody who is enrolled.
        threshold: by which the service decides.
        identities: of the probes.
        seed: of the draws.

    Returns:
        A row a size, the smallest first: ``subjects``, ``draws``; ``fpir`` and ``fnir`` at the deployed threshold and
        ``fnir@fpir=0.01`` at one chosen for each gallery, means over the draws; ``fpir_if_independent``, what the
        whole gallery's would come to, were each subject the same chance of being mistaken for; ``beyond``, a share.
    """
    if not searches or not subjects:
        return []
    answered, rng = Answered(searches, subjects), np.random.default_rng(seed)
    whole = answered.subjects
    sizes = [whole, *(size for halving in range(1, HALVINGS + 1) if (size := whole >> halving) >= _LEAST_SUBJECTS)]
    outcomes = Outcomes.of(searches)
    rows: list[Row] = []
    for size in sizes:
        draws = [answered.drawn(size, rng) for _ in range(1 if size == whole else DRAWS)]
        rows.append({"subjects": size, "draws": len(draws)} | _errors(outcomes, draws, threshold, identities))
    fpir = rows[0]["fpir"].value
    for row in rows:
        predicted = None if fpir is None else 1 - (1 - fpir) ** (row["subjects"] / whole)
        row["fpir_if_independent"] = predicted
    return rows[::-1]


def by_templates(
    outcomes: Outcomes, templates: Mapping[str, int], threshold: float | None, *, identities: Identities
) -> list[Row]:
    """The errors of mated probes, grouped by how many templates their subject has.

    Args:
        outcomes: of all probes.
        templates: how many each subject has; whoever is not named has none.
        threshold: the one of :data:`TARGET` over all non-mated probes; ``None`` where there is none.
        identities: of the probes.

    Returns:
        A row a group that has probes: ``templates``, ``subjects``, ``probes``, ``rank_1``, ``fnir`` at the deployed
        threshold, ``fnir@fpir=0.01``.
    """
    counts = np.array([templates.get(subject, 0) for subject in outcomes.subjects])
    rows: list[Row] = []
    for name, (low, high) in _GROUPS.items():
        group = outcomes.only(outcomes.mated & (counts >= low) & (counts <= high))
        if not group.subjects:
            continue
        right = group.rank == 1
        missed = None if threshold is None else ~(right & (group.similarity >= np.float32(threshold)))
        rows.append(
            {
                "templates": name,
                "subjects": len(set(group.subjects)),
                "probes": len(group.subjects),
                "rank_1": share(right, group.subjects, identities),
                "fnir": share(~group.found, group.subjects, identities),
                f"fnir@fpir={TARGET}": none("too few non-mated probes")
                if missed is None
                else share(missed, group.subjects, identities),
            }
        )
    return rows


def _errors(outcomes: Outcomes, draws: Sequence[Drawn], threshold: float, identities: Identities) -> Row:
    similarity = np.stack([each.similarity for each in draws])
    right = np.stack([each.right for each in draws])
    reaches = similarity >= np.float32(threshold)
    mated = outcomes.mated
    people = len(set(outcomes.only(mated).subjects))
    few = int((~mated).sum()) * TARGET < 1
    fnir = bootstrapped(
        AtFpir(TARGET, mated, similarity, right).fnir, len(mated), identities.weights(outcomes.subjects)
    )
    return {
        "fpir": _mean_share(reaches, ~mated, outcomes.subjects, identities),
        "fnir": _mean_share(~(reaches & right), mated, outcomes.subjects, identities),
        f"fnir@fpir={TARGET}": none("too few non-mated probes") if few else widened(fnir, people),
        "beyond": float(np.mean([each.beyond for each in draws])),
    }


def _mean_share(hits: Bools, among: Bools, subjects: Sequence[str], identities: Identities) -> Figure:
    """The share of probes that hit, the mean over draws ``(d, n)``."""
    of = [subject for subject, counts in zip(subjects, among, strict=True) if counts]
    if len(hits) == 1 or not of:
        return share(hits[0, among], of, identities)
    means = hits[:, among].mean(axis=0)
    return widened(bootstrapped(_weighted(means), len(of), identities.weights(of)), len(set(of)))


def _weighted(values: NDArray[np.float64]) -> Statistic:
    def statistic(weights: Weights) -> float | None:
        whole = int(weights.sum())
        return float(weights @ values) / whole if whole else None

    return statistic
