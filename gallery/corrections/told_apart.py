"""Matches among subjects that were told apart: a probe must be clearly more similar to one than to the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gallery.records.distinct_pairs import DistinctPairs
from gallery.records.identifications import Candidate, Decision, Identification

MIN_MARGIN = 0.1
"""The least difference of similarities at which one of two subjects that were told apart is a match.

People are told apart because they resemble each other as twins do. With three templates each, the wrong one of two is
ahead by this much in under 1 % of the matches up to a cosine of 0.8 between them: ``facet bench twins``.
"""


def withheld(
    found: Identification,
    ranked: Sequence[Candidate],
    distinct: DistinctPairs,
    similarity_to: Callable[[str], float | None],
) -> Identification:
    """Return the answer to a probe; the decision is unknown if two subjects that were told apart are both near.

    Args:
        found: the answer.
        ranked: the best subjects of the search.
        distinct: the subjects of the gallery that were told apart.
        similarity_to: compares the probe with a subject; ``None`` if that has no template.
    """
    if not found.candidates:
        return found
    best = found.candidates[0]
    near = nearest_told_apart(best, ranked, distinct, similarity_to)
    if near is None or best.similarity - near[1] >= MIN_MARGIN:
        return found
    if found.decision is not Decision.MATCH:
        return replace(found, is_ambiguous=True)
    return replace(
        found, decision=Decision.UNKNOWN, too_close_to=near[0], too_close_similarity=near[1], is_ambiguous=True
    )


def nearest_told_apart(
    subject: Candidate,
    ranked: Sequence[Candidate],
    distinct: DistinctPairs,
    similarity_to: Callable[[str], float | None] = lambda _: None,
) -> tuple[str, float] | None:
    """Return the subject told apart from a candidate that is the most similar to the probe, and its similarity.

    ``None`` if there is none, or it is too far away to matter. Those that are not ranked are compared only if they can
    matter.
    """
    others = distinct.others(subject.subject_id)
    if not others:
        return None
    known = {each.subject_id: each.similarity for each in ranked}
    if ranked and ranked[-1].similarity > subject.similarity - MIN_MARGIN:
        missing = {each: similarity_to(each) for each in others if each not in known}
        known |= {subject_id: value for subject_id, value in missing.items() if value is not None}
    near = [(known[each], each) for each in others if each in known]
    if not near:
        return None
    similarity, subject_id = max(near)
    return subject_id, similarity
