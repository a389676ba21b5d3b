"""From scores of templates to ranked subjects and a decision."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gallery.records.identifications import Candidate, Decision, Identification, TakenSubject

_TEMPLATES_PER_SUBJECT = 4
"""First guess of the templates per subject, and the factor by which the shortlist grows if there are more."""


def shortlist(
    scores: NDArray[np.float32], codes: NDArray[np.int32], *, subjects: int, tolerance: float
) -> NDArray[np.intp]:
    """Select the rows that certainly include the best templates of the best subjects.

    The best rows alone are not enough: a subject with very many templates would crowd out the others. The cutoff is
    lowered until enough subjects are above it.

    Args:
        scores: shape ``(n,)``, the approximate similarity of every row; ``-inf`` for a dead row.
        codes: shape ``(n,)``, the subject of every row.
        subjects: the number of subjects wanted, at least 1.
        tolerance: the maximum difference between a score and the exact similarity.

    Returns:
        Rows in rising order.
    """
    wanted = _TEMPLATES_PER_SUBJECT * subjects
    while wanted < scores.size:
        cutoff = np.partition(scores, scores.size - wanted)[scores.size - wanted]
        if cutoff == -np.inf:
            break
        if len(set(codes[scores >= cutoff].tolist())) >= subjects:
            return np.flatnonzero(scores >= cutoff - 2 * tolerance)
        wanted *= _TEMPLATES_PER_SUBJECT
    return np.flatnonzero(scores > -np.inf)


def rank(templates: Iterable[Candidate], *, subjects: int, mean_of_best: int = 1) -> tuple[Candidate, ...]:
    """Rank subjects by their best templates; ties by subject id, then template id.

    Args:
        templates: for every subject at least its best ``mean_of_best`` templates, or all it has.
        subjects: the number of subjects wanted.
        mean_of_best: see :class:`gallery.records.galleries.Gallery`.
    """
    by_subject: dict[str, list[Candidate]] = {}
    for template in templates:
        by_subject.setdefault(template.subject_id, []).append(template)
    best = []
    for own in by_subject.values():
        first, *others = sorted(own, key=_order)[:mean_of_best]
        if others:
            mean = math.fsum(each.similarity for each in (first, *others)) / (1 + len(others))
            first = replace(first, similarity=float(np.float32(mean)))
        best.append(first)
    return tuple(heapq.nsmallest(subjects, best, key=_order))


def refuse(*, threshold: float) -> Identification:
    """Answer a probe that is too poor to be compared; ``threshold`` would have been applied."""
    return Identification(Decision.REFUSED, candidates=(), threshold=threshold, margin=None, templates_compared=0)


def decide(
    ranked: Sequence[Candidate],
    *,
    top_k: int,
    threshold: float,
    templates_compared: int,
    taken: Sequence[TakenSubject] = (),
) -> Identification:
    """Decide about a probe.

    Args:
        ranked: the best subjects, at least two if the gallery has two, even if ``top_k`` is 1.
        top_k: the number of candidates in the answer.
        threshold: the lowest similarity of a match, a float32 value in [-1, 1].
        templates_compared: copied to the answer.
        taken: the first of ``ranked`` that went to other probes; see :func:`taken_subjects`.
    """
    free = ranked[len(taken) :]
    is_match = bool(free) and free[0].similarity >= threshold
    return Identification(
        decision=Decision.MATCH if is_match else Decision.UNKNOWN,
        candidates=tuple(free[:top_k]),
        threshold=threshold,
        margin=free[0].similarity - free[1].similarity if len(free) > 1 else None,
        templates_compared=templates_compared,
        taken=tuple(taken),
    )


def is_contested(ranked: Iterable[Sequence[Candidate]], *, threshold: float) -> bool:
    """Tell whether two probes match one subject, given the best subjects of every probe."""
    matches = [own[0].subject_id for own in ranked if own and own[0].similarity >= threshold]
    return len(set(matches)) < len(matches)


def taken_subjects(ranked: Sequence[Sequence[Candidate]], *, threshold: float) -> tuple[tuple[TakenSubject, ...], ...]:
    """Assign probes of different people to subjects by :func:`assign_subjects`; return what each probe lost.

    Args:
        ranked: for every probe its best subjects, at least as many as there are probes, if the gallery has them.
        threshold: the lowest similarity of a match, [-1, 1].

    Returns:
        For every probe its first subjects, those that went to other probes. The next one is its own if it reaches the
        threshold.
    """
    matches = [[each for each in own if each.similarity >= threshold] for own in ranked]
    assigned = assign_subjects([{each.subject_id: each.similarity for each in own} for own in matches])
    probe_of = {subject_id: probe for probe, subject_id in enumerate(assigned)}
    taken = []
    for own, subject_id in zip(matches, assigned, strict=True):
        ids = [each.subject_id for each in own]
        lost = own if subject_id is None else own[: ids.index(subject_id)]
        taken.append(tuple(TakenSubject(each, probe_of[each.subject_id]) for each in lost))
    return tuple(taken)


def assign_subjects(similarities: Sequence[Mapping[str, float]]) -> tuple[str | None, ...]:
    """Assign each face at most one subject, and each subject at most one face.

    The most similar pair comes first, then the most similar pair of those left, and so on. So a subject goes to the
    face that is most similar to it, and a face that loses one may get its next. A maximum sum of similarities would be
    another rule: it may take a subject from its most similar face. The result is a stable matching (Gale and Shapley,
    1962), the only one without ties. Ties are decided by the order of the faces, then by subject id.

    Args:
        similarities: for every face the subjects that it may be, by id, and their similarities.

    Returns:
        For every face its subject, or ``None``: all that it may be are assigned to more similar faces.
    """
    assigned: dict[int, str] = {}
    taken: set[str] = set()
    pairs = [(-value, face, subject_id) for face, own in enumerate(similarities) for subject_id, value in own.items()]
    for _, face, subject_id in sorted(pairs):
        if face not in assigned and subject_id not in taken:
            assigned[face] = subject_id
            taken.add(subject_id)
    return tuple(assigned.get(face) for face in range(len(similarities)))


def _order(candidate: Candidate) -> tuple[float, str, str]:
    return -candidate.similarity, candidate.subject_id, candidate.template_id
