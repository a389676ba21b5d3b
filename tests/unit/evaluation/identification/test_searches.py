"""The worst mistakes among the searches."""

from __future__ import annotations

from facet.evaluation.identification.searches import (
    Candidate,
    Search,
    worst_false_positives,
    worst_misses,
    worst_wrong_subjects,
)


def probe(subject: str, *candidates: tuple[str, float], mated: bool = True, matched: bool = False) -> Search:
    return Search("probe.jpg", subject, mated, tuple(Candidate(*each) for each in candidates), matched=matched)


def test_the_worst_mistakes_come_first() -> None:
    false_positive = probe("stranger", ("me", 0.9), mated=False, matched=True)
    wrong_subject = probe("me", ("other", 0.95), matched=True)
    low, lower = probe("me", ("me", 0.2)), probe("me", ("other", 0.3), ("me", 0.1))
    no_face = Search("blank.jpg", "me", True, failure="FACE_NOT_FOUND")
    right = probe("me", ("me", 0.99), matched=True)
    rejected = probe("stranger", ("me", 0.1), mated=False)
    searches = [low, false_positive, right, no_face, wrong_subject, lower, rejected]
    assert worst_false_positives(searches, 5) == [false_positive]
    assert worst_wrong_subjects(searches, 5) == [wrong_subject]
    assert worst_misses(searches, 5) == [no_face, lower, low]
    assert worst_misses(searches, 1) == [no_face]
