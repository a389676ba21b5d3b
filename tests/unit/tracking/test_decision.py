"""Decisions about who a track is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facet.tracking.decision import Decision, DecisionSettings, Identity, Match, decide
from facet.tracking.embedding_aggregate import AggregateSettings, EmbeddingAggregate, Sample

SETTINGS = DecisionSettings(
    min_samples=3,
    single_sample_margin=0.1,
    single_sample_lead=0.1,
    keep_margin=0.06,
    switch_lead=0.05,
    unknown_min_samples=5,
)
ANNE = Identity(Decision.IDENTIFIED, "anne", "Anne", 0.5, 1.0)
UNKNOWN = Identity(Decision.UNKNOWN, similarity=0.1, decided_at=1.0)


def seen(samples: int, quality: float = 0.8) -> EmbeddingAggregate:
    aggregate = EmbeddingAggregate(AggregateSettings())
    for _ in range(samples):
        aggregate.add(Sample(np.array([1, 0], np.float32), quality))
    return aggregate


def match(similarity: float, subject: str = "anne", runner_up: float = -1.0) -> Match:
    return Match(subject, subject.title(), similarity, 0.34, runner_up)


def decided(identity: Identity, found: Match | None, samples: int, quality: float = 0.8) -> Identity:
    return decide(identity, found, seen(samples, quality), 2.0, SETTINGS)


def test_one_sample_far_above_the_threshold_identifies() -> None:
    assert decided(Identity(), match(0.45), 1) == Identity(Decision.IDENTIFIED, "anne", "Anne", 0.45, 2.0)


@pytest.mark.parametrize("found", [match(0.4), match(0.6, runner_up=0.55)])
def test_one_sample_near_the_threshold_or_the_runner_up_does_not_identify(found: Match) -> None:
    identity = decided(Identity(), found, 1)
    assert identity.decision is Decision.UNDECIDED
    assert identity.similarity == found.similarity


def test_several_samples_identify_at_the_threshold() -> None:
    assert decided(Identity(), match(0.34), 3).subject_id == "anne"
    assert decided(Identity(), match(0.33), 3).decision is Decision.UNDECIDED


def test_a_track_is_unknown_only_after_enough_samples_of_enough_quality() -> None:
    assert decided(Identity(), match(0.1), 4).decision is Decision.UNDECIDED
    assert decided(Identity(), match(0.1), 5).decision is Decision.UNKNOWN
    assert decided(Identity(), match(0.1), 5, quality=0.1).decision is Decision.UNDECIDED


def test_a_track_becomes_unknown_in_an_empty_gallery() -> None:
    assert decided(Identity(), None, 5) == Identity(Decision.UNKNOWN, similarity=-1.0, decided_at=2.0)


def test_a_name_is_kept_a_little_below_the_threshold() -> None:
    assert decided(ANNE, match(0.3), 8) == Identity(Decision.IDENTIFIED, "anne", "Anne", 0.3, 1.0)
    assert decided(ANNE, match(0.3, "ben"), 8) == ANNE


def test_a_name_is_lost_far_below_the_threshold_after_enough_samples() -> None:
    assert decided(ANNE, match(0.2), 3) == ANNE
    assert decided(ANNE, match(0.2), 8).decision is Decision.UNKNOWN
    assert decided(ANNE, None, 8).decision is Decision.UNKNOWN


def test_another_name_replaces_it_only_with_a_clear_lead() -> None:
    assert decided(ANNE, match(0.5, "ben", runner_up=0.47), 5) == ANNE
    assert decided(ANNE, match(0.5, "ben", runner_up=0.4), 5).subject_id == "ben"


def test_an_unknown_track_can_still_be_identified() -> None:
    assert decided(UNKNOWN, match(0.4), 6).subject_id == "anne"
    assert decided(UNKNOWN, match(0.2), 6) == Identity(Decision.UNKNOWN, similarity=0.2, decided_at=1.0)


def test_a_changed_display_name_is_adopted() -> None:
    renamed = Match("anne", "Anne B.", 0.5, 0.34)
    assert decided(ANNE, renamed, 5) == Identity(Decision.IDENTIFIED, "anne", "Anne B.", 0.5, 1.0)


def near_twin(similarity: float, margin: float) -> Match:
    """A match with Anne, while her twin Beth is this much less similar."""
    return replace(match(similarity), told_apart_from="beth", told_apart_margin=margin)


def test_a_track_near_two_people_who_were_told_apart_is_unknown_and_says_why() -> None:
    assert decided(Identity(), near_twin(0.8, 0.12), 5).subject_id == "anne"
    near = decided(Identity(), near_twin(0.8, 0.08), 5)
    assert (near.decision, near.subject_id, near.too_close_to) == (Decision.UNKNOWN, "", "beth")
    assert decided(Identity(), near_twin(0.2, 0.08), 5).too_close_to == ""


def test_a_track_keeps_its_name_down_to_half_of_the_margin() -> None:
    assert decided(ANNE, near_twin(0.8, 0.06), 5).subject_id == "anne"
    lost = decided(ANNE, near_twin(0.8, 0.04), 5)
    assert (lost.decision, lost.too_close_to) == (Decision.UNKNOWN, "beth")
