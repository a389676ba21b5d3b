"""From scores of templates to ranked subjects, and to a decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gallery.records import Candidate, Decision, Identification

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


def rank(templates: Iterable[Candidate], *, subjects: int) -> tuple[Candidate, ...]:
    """The best subjects by falling similarity of their best template; ties by subject, then template."""
    best: dict[str, Candidate] = {}
    for template in templates:
        other = best.get(template.subject_id)
        if other is None or _order(template) < _order(other):
            best[template.subject_id] = template
    return tuple(sorted(best.values(), key=_order)[:subjects])


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
