"""From evidence to a name."""

from __future__ import annotations

import numpy as np
import pytest

from facet.tracking.decision import Decision, DecisionSettings, Match, Verdict, decide
from facet.tracking.embedding_aggregate import Evidence, EvidenceSettings, Sample

SETTINGS = DecisionSettings(samples=3, sure=0.1, sure_lead=0.1, keep=0.06, change_lead=0.05, unknown_samples=5)
ANNE = Verdict(Decision.IDENTIFIED, "anne", "Anne", 0.5, 1.0)
UNKNOWN = Verdict(Decision.UNKNOWN, similarity=0.1, since=1.0)


def seen(samples: int, quality: float = 0.8) -> Evidence:
    evidence = Evidence(EvidenceSettings())
    for _ in range(samples):
        evidence.add(Sample(np.array([1, 0], np.float32), quality))
    return evidence


def match(similarity: float, subject: str = "anne", runner_up: float = -1.0) -> Match:
    return Match(subject, subject.title(), similarity, 0.34, runner_up)


def decided(verdict: Verdict, found: Match | None, samples: int, quality: float = 0.8) -> Verdict:
    return decide(verdict, found, seen(samples, quality), 2.0, SETTINGS)


def test_one_sample_far_above_the_threshold_is_enough() -> None:
    assert decided(Verdict(), match(0.45), 1) == Verdict(Decision.IDENTIFIED, "anne", "Anne", 0.45, 2.0)


@pytest.mark.parametrize("found", [match(0.4), match(0.6, runner_up=0.55)])
def test_one_sample_is_not_enough_near_the_threshold_or_near_another_subject(found: Match) -> None:
    verdict = decided(Verdict(), found, 1)
    assert verdict.decision is Decision.UNDECIDED
    assert verdict.similarity == found.similarity


def test_several_samples_need_to_reach_the_threshold_only() -> None:
    assert decided(Verdict(), match(0.34), 3).subject_id == "anne"
    assert decided(Verdict(), match(0.33), 3).decision is Decision.UNDECIDED


def test_nobody_is_unknown_before_enough_was_seen() -> None:
    assert decided(Verdict(), match(0.1), 4).decision is Decision.UNDECIDED
    assert decided(Verdict(), match(0.1), 5).decision is Decision.UNKNOWN
    assert decided(Verdict(), match(0.1), 5, quality=0.1).decision is Decision.UNDECIDED


def test_in_an_empty_gallery_everybody_is_unknown_in_the_end() -> None:
    assert decided(Verdict(), None, 5) == Verdict(Decision.UNKNOWN, similarity=-1.0, since=2.0)


def test_a_name_is_kept_a_little_below_the_threshold() -> None:
    assert decided(ANNE, match(0.3), 8) == Verdict(Decision.IDENTIFIED, "anne", "Anne", 0.3, 1.0)
    assert decided(ANNE, match(0.3, "ben"), 8) == ANNE


def test_a_name_is_lost_far_below_the_threshold_once_enough_was_seen() -> None:
    assert decided(ANNE, match(0.2), 3) == ANNE
    assert decided(ANNE, match(0.2), 8).decision is Decision.UNKNOWN
    assert decided(ANNE, None, 8).decision is Decision.UNKNOWN


def test_a_name_gives_way_only_to_one_that_leads() -> None:
    assert decided(ANNE, match(0.5, "ben", runner_up=0.47), 5) == ANNE
    assert decided(ANNE, match(0.5, "ben", runner_up=0.4), 5).subject_id == "ben"


def test_somebody_unknown_gets_a_name_when_the_face_is_seen_better() -> None:
    assert decided(UNKNOWN, match(0.4), 6).subject_id == "anne"
    assert decided(UNKNOWN, match(0.2), 6) == Verdict(Decision.UNKNOWN, similarity=0.2, since=1.0)


def test_a_new_display_name_is_taken_over() -> None:
    renamed = Match("anne", "Anne B.", 0.5, 0.34)
    assert decided(ANNE, renamed, 5) == Verdict(Decision.IDENTIFIED, "anne", "Anne B.", 0.5, 1.0)
