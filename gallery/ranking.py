"""From scores of templates to ranked subjects, and to a decision."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gallery.records.records import Candidate, Decision, Identification

_TEMPLATES_PER_SUBJECT = 4
"""How many templates a subject is first taken to have; and by what a search that meets more is widened."""


def shortlist(
    scores: NDArray[np.float32], codes: NDArray[np.int32], *, subjects: int, tolerance: float
) -> NDArray[np.intp]:
    """The rows among which the best templates of the best subjects are for certain.

    Not just the best rows: somebody with very many templates would push the others out, so the cut is lowered
    until enough subjects are above it.

    Args:
        scores: shape ``(n,)``, approximate similarity of every row; ``-inf`` where the row is dead.
        codes: shape ``(n,)``, which subject a row belongs to.
        subjects: how many subjects are wanted, at least 1.
        tolerance: how far a score may be from the exact similarity.

    Returns:
        Rows, rising.
    """
    wanted = _TEMPLATES_PER_SUBJECT * subjects
    while wanted < scores.size:
        cutoff = np.partition(scores, scores.size - wanted)[scores.size - wanted]
        if cutoff == -np.inf:
            break
        if np.unique(codes[scores >= cutoff]).size >= subjects:
            return np.flatnonzero(scores >= cutoff - 2 * tolerance)
        wanted *= _TEMPLATES_PER_SUBJECT
    return np.flatnonzero(scores > -np.inf)


def rank(templates: Iterable[Candidate], *, subjects: int, mean_of_best: int = 1) -> tuple[Candidate, ...]:
    """The best subjects, each by its best templates; ties by subject, then template.

    Args:
        templates: of every subject at least the best ``mean_of_best``, or all that it has.
        subjects: how many are wanted.
        mean_of_best: a subject's similarity is the mean over so many of its templates; see
            :class:`gallery.records.records.Gallery`.
    """
    of_subject: dict[str, list[Candidate]] = {}
    for template in templates:
        of_subject.setdefault(template.subject_id, []).append(template)
    best = []
    for theirs in of_subject.values():
        first, *others = heapq.nsmallest(mean_of_best, theirs, key=_order)
        if others:
            mean = math.fsum(each.similarity for each in (first, *others)) / (1 + len(others))
            first = replace(first, similarity=float(np.float32(mean)))
        best.append(first)
    return tuple(heapq.nsmallest(subjects, best, key=_order))


def refuse(*, threshold: float) -> Identification:
    """The answer about a probe that is too poor to be compared; the threshold would have been applied."""
    return Identification(Decision.REFUSED, candidates=(), threshold=threshold, margin=None, templates_compared=0)


def decide(ranked: Sequence[Candidate], *, top_k: int, threshold: float, templates_compared: int) -> Identification:
    """Decide about a probe.

    Args:
        ranked: the best subjects, at least two where the gallery has them, also where ``top_k`` is 1.
        top_k: how many of them to name.
        threshold: what the best one must reach, a float32 value in [-1, 1].
        templates_compared: goes into the answer.
    """
    is_match = bool(ranked) and ranked[0].similarity >= threshold
    return Identification(
        decision=Decision.MATCH if is_match else Decision.UNKNOWN,
        candidates=tuple(ranked[:top_k]),
        threshold=threshold,
        margin=ranked[0].similarity - ranked[1].similarity if len(ranked) > 1 else None,
        templates_compared=templates_compared,
    )


def _order(candidate: Candidate) -> tuple[float, str, str]:
    return -candidate.similarity, candidate.subject_id, candidate.template_id
