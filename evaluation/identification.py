"""The figures of open-set identification, in the terms of ISO/IEC 19795-1 and NIST FRTE 1:N."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

LOWEST_SIMILARITY = -1.0


@dataclass(frozen=True, slots=True)
class Search:
    """One probe and what the gallery answered.

    Attributes:
        image: the probe's picture.
        subject: who it is.
        mated: whether that subject was to be enrolled.
        candidate: the best subject of the gallery; ``None`` where the search gave none.
        similarity: of that subject, cosine in [-1, 1] as the float32 that the server answered.
        matched: whether the service decided, at its own threshold, that it is the candidate.
        failure: why there was no search: FACE_NOT_FOUND, DECISION_REFUSED where the face was too poor, or the reason
            of another refusal; empty where there was one.
    """

    image: str
    subject: str
    mated: bool
    candidate: str | None = None
    similarity: float = LOWEST_SIMILARITY
    matched: bool = False
    failure: str = ""

    @property
    def at_rank_1(self) -> bool:
        """Whether the best candidate is the mate."""
        return self.mated and self.candidate == self.subject


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a threshold that is chosen for a false-positive rate does.

    Attributes:
        target: the false-positive identification rate that may not be exceeded, [0, 1].
        threshold: the smallest similarity that keeps to it, a float32; ``None`` without non-mated probes.
        fnir: the false-negative identification rate there, [0, 1]; ``None`` without probes of both kinds.
    """

    target: float
    threshold: float | None
    fnir: float | None


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the service decided at the threshold it runs with. A share of nothing is ``None``.

    Attributes:
        fpir: share of the non-mated probes that were taken for somebody, [0, 1].
        fnir: share of the mated probes that were not found to be who they are, [0, 1].
        precision: share of all matches that name the right subject, [0, 1].
        recall: share of the mated probes that were found to be who they are, 1 - fnir.
    """

    fpir: float | None
    fnir: float | None
    precision: float | None
    recall: float | None


def rank_1(searches: Iterable[Search]) -> float | None:
    """Share of the mated probes whose best candidate is the mate, whatever the similarity; ``None`` without any.

    A probe that could not be searched with, such as one without a face, is a miss.
    """
    mated = [search for search in searches if search.mated]
    return _share(sum(search.at_rank_1 for search in mated), len(mated))


def at_fpir(searches: Sequence[Search], target: float) -> OperatingPoint:
    """The false-negative identification rate at a false-positive identification rate.

    The threshold is the smallest float32 such that at most ``target`` of the non-mated probes have a best
    similarity that reaches it. A mated probe is a false negative where its best candidate is not the mate, or does
    not reach the threshold. A probe that could not be searched with is a false negative where it is mated and no
    false positive where it is not; it counts in either denominator.
    """
    mated = [search for search in searches if search.mated]
    nonmated = [search for search in searches if not search.mated]
    if not nonmated:
        return OperatingPoint(target, None, None)
    similarities = sorted((search.similarity for search in nonmated if search.candidate is not None), reverse=True)
    allowed = math.floor(target * len(nonmated) + 1e-9)  # 0.29 * 100 is a little less than 29
    if allowed >= len(similarities):
        threshold = LOWEST_SIMILARITY
    else:
        threshold = float(np.nextafter(np.float32(similarities[allowed]), np.float32(2)))
    missed = sum(not (search.at_rank_1 and search.similarity >= threshold) for search in mated)
    return OperatingPoint(target, threshold, _share(missed, len(mated)))


def decisions(searches: Iterable[Search]) -> Decisions:
    """The figures of the decisions as they were answered."""
    searches = list(searches)
    mated = sum(search.mated for search in searches)
    matches = sum(search.matched for search in searches)
    right = sum(search.matched and search.at_rank_1 for search in searches)
    false_positives = sum(search.matched and not search.mated for search in searches)
    return Decisions(
        fpir=_share(false_positives, len(searches) - mated),
        fnir=_share(mated - right, mated),
        precision=_share(right, matches),
        recall=_share(right, mated),
    )


def worst_false_positives(searches: Iterable[Search], count: int) -> list[Search]:
    """Matches with the wrong subject, or of a probe that nobody in the gallery is; the most similar first."""
    wrong = [search for search in searches if search.matched and not search.at_rank_1]
    return sorted(wrong, key=lambda search: -search.similarity)[:count]


def worst_misses(searches: Iterable[Search], count: int) -> list[Search]:
    """Mated probes that matched nobody: those that could not be searched with, then the least similar first."""
    missed = [search for search in searches if search.mated and not search.matched]
    return sorted(missed, key=lambda search: (not search.failure, search.similarity))[:count]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
