"""Ranked subjects, decisions, and the shortlist of templates."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.ranking import assign_subjects, decide, rank, shortlist
from gallery.records.identifications import Candidate, Decision


def candidate(subject_id: str, similarity: float, template_id: str = "t") -> Candidate:
    return Candidate(subject_id, "", similarity, template_id)


def test_a_subject_is_ranked_by_its_best_template() -> None:
    ranked = rank([candidate("a", 0.2, "1"), candidate("b", 0.5, "2"), candidate("a", 0.9, "3")], subjects=5)
    assert [(each.subject_id, each.template_id) for each in ranked] == [("a", "3"), ("b", "2")]


def test_a_subject_can_be_ranked_by_the_mean_of_its_best_templates() -> None:
    templates = [candidate("a", 0.9, "1"), candidate("a", 0.1, "2"), candidate("b", 0.6, "3"), candidate("b", 0.5, "4")]
    templates += [candidate("b", -0.9, "5"), candidate("c", 0.52, "6")]
    ranked = rank(templates, subjects=5, mean_of_best=2)
    assert [(each.subject_id, each.template_id) for each in ranked] == [("b", "3"), ("c", "6"), ("a", "1")]
    assert [each.similarity for each in ranked] == pytest.approx([0.55, 0.52, 0.5])


def test_ties_are_sorted_by_subject_then_template() -> None:
    templates = [candidate(subject, 0.5, template) for subject in "cab" for template in "yxz"]
    for order in (templates, templates[::-1]):
        ranked = rank(order, subjects=2)
        assert [(each.subject_id, each.template_id) for each in ranked] == [("a", "x"), ("b", "x")]


def test_a_similarity_at_the_threshold_is_a_match() -> None:
    ranked = [candidate("a", 0.5), candidate("b", 0.25)]
    at = decide(ranked, top_k=1, threshold=0.5, templates_compared=2)
    above = decide(ranked, top_k=1, threshold=0.5000001, templates_compared=2)
    assert (at.decision, above.decision) == (Decision.MATCH, Decision.UNKNOWN)
    assert at.candidates == above.candidates == (ranked[0],)


def test_the_margin_is_known_even_with_one_candidate() -> None:
    ranked = [candidate("a", 0.5), candidate("b", 0.25)]
    assert decide(ranked, top_k=1, threshold=0.0, templates_compared=2).margin == 0.25
    assert decide(ranked[:1], top_k=5, threshold=0.0, templates_compared=1).margin is None


def test_an_empty_gallery_matches_nobody() -> None:
    answer = decide([], top_k=5, threshold=-1.0, templates_compared=0)
    assert (answer.decision, answer.candidates, answer.margin) == (Decision.UNKNOWN, (), None)


@pytest.mark.parametrize("subjects", [1, 2, 5])
def test_the_shortlist_reaches_beyond_a_subject_with_very_many_templates(subjects: int) -> None:
    scores = np.concatenate([np.full(1000, 0.9), np.linspace(0.1, 0.2, 10)]).astype(np.float32)
    codes = np.concatenate([np.zeros(1000), np.arange(1, 11)]).astype(np.int32)
    rows = shortlist(scores, codes, subjects=subjects, tolerance=1e-5)
    assert np.unique(codes[rows]).size >= subjects
    best = np.argsort(-scores[1000:])[: subjects - 1] + 1000
    assert set(best) <= set(rows)


def test_the_shortlist_includes_all_ties_and_no_dead_row() -> None:
    scores = np.full(100, 0.5, np.float32)
    scores[::10] = -np.inf
    codes = np.arange(100, dtype=np.int32)
    codes[::10] = -1
    assert len(shortlist(scores, codes, subjects=3, tolerance=1e-5)) == 90


def test_the_shortlist_includes_rows_within_the_tolerance() -> None:
    scores = np.array([0.5] * 4 + [0.5 - 1.5e-5, 0.5 - 2.5e-5] + [0.1] * 10, np.float32)
    rows = shortlist(scores, np.arange(16, dtype=np.int32), subjects=1, tolerance=1e-5)
    assert rows.tolist() == [0, 1, 2, 3, 4]


def test_the_more_similar_face_gets_the_subject_and_the_other_its_next() -> None:
    """The sum of similarities would be higher the other way round: 0.8 + 0.75 against 0.9 + 0.1."""
    assert assign_subjects([{"a": 0.9, "b": 0.8}, {"a": 0.75, "b": 0.1}]) == ("a", "b")


def test_a_face_whose_subjects_are_all_taken_gets_none() -> None:
    assert assign_subjects([{"a": 0.6}, {"a": 0.7}, {}]) == (None, "a", None)


def test_equal_faces_are_assigned_in_their_order() -> None:
    assert assign_subjects([{"b": 0.5, "a": 0.5}, {"a": 0.5, "b": 0.5}]) == ("a", "b")
