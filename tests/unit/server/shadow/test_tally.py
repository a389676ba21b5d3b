"""How comparisons of two models add up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from facet.server.shadow.comparison import Cost, Outcome
from facet.server.shadow.tally import MAX_DISAGREEMENTS, Disagreement, ShadowTally, Similarities
from gallery.migration.shadowing import ModelRoles
from gallery.records.identifications import Candidate, Decision, Identification
from gallery.records.migrations import ModelVersion

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OLD, NEW = ModelVersion("old", "old", "", 32), ModelVersion("new", "new", "", 16)
COST = Cost(0.004, 0.001)


@pytest.fixture
def tally() -> ShadowTally:
    return ShadowTally(ModelRoles("m", None, OLD, NEW, 0.4, 0.5, 1), NOON)


def answer(subject_id: str, similarity: float = 0.6, *, is_match: bool = True) -> Identification:
    decision = Decision.MATCH if is_match else Decision.UNKNOWN
    return Identification(decision, (Candidate(subject_id, "", similarity, "t"),), 0.4, None, 10)


ANN, BOB, NOBODY = answer("ann"), answer("bob"), answer("bob", 0.1, is_match=False)


@pytest.mark.parametrize(
    ("serving", "shadow", "outcome"),
    [
        (ANN, ANN, Outcome.SAME_SUBJECT),
        (NOBODY, NOBODY, Outcome.BOTH_UNKNOWN),
        (NOBODY, answer("ann", is_match=False), Outcome.BOTH_UNKNOWN),
        (ANN, NOBODY, Outcome.ONLY_SERVING),
        (NOBODY, ANN, Outcome.ONLY_SHADOW),
        (ANN, BOB, Outcome.DIFFERENT_SUBJECTS),
    ],
)
def test_two_decisions_have_an_outcome(serving: Identification, shadow: Identification, outcome: Outcome) -> None:
    assert Outcome.of(serving, shadow) is outcome


def test_one_person_a_thousand_times_is_one_observation(tally: ShadowTally) -> None:
    for _ in range(1000):
        tally.add([(ANN, ANN, Outcome.SAME_SUBJECT)], COST, COST)
    assert (tally.faces, tally.agreement, tally.independent_faces) == (1000, 1.0, 1)
    low, high = tally.agreement_interval
    assert low < 0.25
    assert high == 1.0


def test_a_thousand_people_are_about_a_thousand_observations(tally: ShadowTally) -> None:
    for number in range(1000):
        person = answer(f"person {number}")
        tally.add([(person, person, Outcome.SAME_SUBJECT)], COST, COST)
    assert 900 < tally.independent_faces <= 1000  # a few fall into one cluster by chance
    assert 0.995 < tally.agreement_interval[0] < 1


def test_strangers_of_one_picture_are_one_observation_and_those_of_many_are_many(tally: ShadowTally) -> None:
    tally.add([(NOBODY, NOBODY, Outcome.BOTH_UNKNOWN)] * 50, COST, COST)
    assert tally.independent_faces == 1
    for _ in range(500):
        tally.add([(NOBODY, NOBODY, Outcome.BOTH_UNKNOWN)], COST, COST)
    assert tally.independent_faces == pytest.approx(550**2 / (50**2 + 500), rel=0.05)


def test_agreement_leaves_out_subjects_whom_the_other_model_has_no_embedding_of(tally: ShadowTally) -> None:
    pairs = [(ANN, ANN, Outcome.SAME_SUBJECT), (BOB, NOBODY, Outcome.ONLY_SERVING), (ANN, NOBODY, Outcome.NOT_EMBEDDED)]
    tally.add(pairs, COST, Cost(0.002, 0.003))
    assert (tally.faces, tally.agreement, tally.serving_similarity.count) == (2, 0.5, 2)
    assert (tally.serving_cost.median(), tally.shadow_cost.median()) == (COST, Cost(0.002, 0.003))


def test_nothing_is_known_without_a_face(tally: ShadowTally) -> None:
    assert (tally.faces, tally.agreement, tally.agreement_interval) == (0, 0.0, (0.0, 1.0))
    assert (tally.shadow_cost.median(), tally.shadow_similarity.percentile(0.5)) == (Cost(0.0, 0.0), 0.0)


def test_a_distribution_has_bins_and_percentiles() -> None:
    similarities = Similarities()
    for similarity in (-1.0, *[0.3] * 98, 1.0):
        similarities.add(answer("ann", similarity))
    similarities.add(replace(NOBODY, candidates=()))
    assert (similarities.count, len(similarities.counts), sum(similarities.counts)) == (100, 40, 100)
    assert (similarities.counts[0], similarities.counts[26], similarities.counts[39]) == (1, 98, 1)
    assert similarities.mean == pytest.approx(0.294)
    for share in (0.05, 0.5, 0.95):
        assert similarities.percentile(share) == pytest.approx(0.3, abs=0.005)


def test_the_latest_disagreements_are_kept_without_those_of_a_subject_who_is_gone(tally: ShadowTally) -> None:
    for number in range(MAX_DISAGREEMENTS + 50):
        person = answer("ann" if number % 2 else f"person {number}")
        tally.disagreements.append(Disagreement(NOON, person, NOBODY))
    assert len(tally.disagreements) == MAX_DISAGREEMENTS
    tally.forget({"ann"})
    assert len(tally.disagreements) == MAX_DISAGREEMENTS / 2
    tally.forget({"bob"})  # the best candidate of the model that knows nobody
    assert not tally.disagreements
    tally.disagreements.append(Disagreement(NOON, replace(ANN, too_close_to="twin"), NOBODY))
    tally.forget({"twin"})
    assert not tally.disagreements
