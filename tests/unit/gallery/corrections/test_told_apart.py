"""Two people who were told apart: look-alike checks ignore the pair, and a probe near both is neither."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.corrections.told_apart import MIN_MARGIN
from gallery.errors import LooksLikeAnotherSubject
from gallery.galleries import Galleries
from gallery.observations.tally import Tally
from gallery.records.identifications import Decision, Identification
from tests.unit.gallery.observations.faces import MEASURES
from tests.unit.gallery.samples import Vector, axis, between, face


@pytest.fixture
def twins(galleries: Galleries) -> Galleries:
    """The gallery "g" with the twins ann and beth, cosine 0.7, and cid."""
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "beth", face(between(axis(0), axis(1), 0.7), accept_lookalike=True))
    galleries.enroll("g", "cid", face(axis(2)))
    return galleries


def probe(ann: float, beth: float) -> Vector:
    """A face with these similarities to the twins."""
    second = (beth - 0.7 * ann) / np.sqrt(1 - 0.7**2)
    rest = np.sqrt(1 - ann**2 - second**2)
    return np.asarray(ann * axis(0) + second * axis(1) + rest * axis(5), np.float32)


def found(galleries: Galleries, *probes: Vector, distinct_subjects: bool = False) -> tuple[Identification, ...]:
    return galleries.search("g", np.stack(probes), top_k=1, distinct_subjects=distinct_subjects)


def test_a_probe_near_both_is_unknown_and_the_answer_says_why(twins: Galleries) -> None:
    near = probe(0.8, 0.8 - MIN_MARGIN + 0.01)
    clear = probe(0.8, 0.8 - MIN_MARGIN - 0.01)
    (before,) = found(twins, near)
    assert (before.decision, before.too_close_to) == (Decision.MATCH, "")
    twins.corrections.set_distinct("g", "beth", "ann", is_distinct=True)
    withheld, matched = found(twins, near, clear)
    assert (withheld.decision, withheld.too_close_to) == (Decision.UNKNOWN, "beth")
    assert withheld.candidates[0].subject_id == "ann"
    assert (matched.decision, matched.too_close_to) == (Decision.MATCH, "")
    assert found(twins, axis(2))[0].decision is Decision.MATCH
    twins.corrections.set_distinct("g", "ann", "beth", is_distinct=False)
    assert found(twins, near)[0].decision is Decision.MATCH


@pytest.mark.parametrize("threshold", [None, 0.9], ids=["the gallery's threshold", "a higher one of the request"])
def test_a_probe_near_both_is_counted_as_unknown_whatever_the_threshold_of_the_request(
    twins: Galleries, threshold: float | None
) -> None:
    twins.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    probes = np.stack([probe(0.8, 0.75), probe(0.8, 0.6)])
    tally = Tally()
    for answer in twins.search("g", probes, top_k=1, threshold=threshold):
        assert bool(answer.too_close_to) == (answer.is_ambiguous and threshold is None)
        tally.add_identification(MEASURES, answer, twins.threshold("g"))
    assert tally.counts().decisions == {Decision.MATCH: 1, Decision.UNKNOWN: 1, Decision.REFUSED: 0}


def test_the_other_one_counts_also_if_it_is_not_the_runner_up(twins: Galleries) -> None:
    near = probe(0.8, 0.75)
    for number in range(10, 14):
        between_both = 0.78 * near + np.sqrt(1 - 0.78**2) * axis(number)
        twins.enroll("g", f"s{number}", face(np.asarray(between_both, np.float32), accept_lookalike=True))
    twins.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    (answer,) = found(twins, near)
    assert (answer.decision, answer.too_close_to) == (Decision.UNKNOWN, "beth")


def test_a_twin_does_not_get_the_other_ones_name_because_that_one_is_taken(twins: Galleries) -> None:
    twins.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    first, second = found(twins, probe(0.95, 0.65), probe(0.8, 0.6), distinct_subjects=True)
    assert first.candidates[0].subject_id == "ann"
    assert first.decision is Decision.MATCH
    assert (second.decision, second.too_close_to) == (Decision.UNKNOWN, "ann")


def test_enrolling_one_is_not_refused_because_of_the_other_but_because_of_others(twins: Galleries) -> None:
    with pytest.raises(LooksLikeAnotherSubject):
        twins.enroll("g", "beth", face(probe(0.9, 0.8)))
    twins.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    twins.enroll("g", "beth", face(probe(0.9, 0.8)))
    looks_like_cid = np.asarray(0.8 * axis(2) + 0.6 * axis(0), np.float32)
    with pytest.raises(LooksLikeAnotherSubject, match="cid"):
        twins.enroll("g", "beth", face(looks_like_cid))


def test_a_pair_goes_with_its_subject_and_is_not_that_of_a_later_one(twins: Galleries) -> None:
    twins.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    twins.delete_subject("g", "beth")
    twins.enroll("g", "beth", face(between(axis(0), axis(1), 0.7), accept_lookalike=True))
    assert not twins.distinct_pairs("g")
    assert found(twins, probe(0.8, 0.75))[0].decision is Decision.MATCH


def test_pairs_are_listed_page_by_page(twins: Galleries) -> None:
    for one, other in (("cid", "ann"), ("beth", "ann"), ("cid", "beth")):
        twins.corrections.set_distinct("g", one, other, is_distinct=True)
    first = twins.corrections.list_distinct("g", page_size=2)
    rest = twins.corrections.list_distinct("g", page_size=2, page_token=first.next_page_token)
    assert [*first.items, *rest.items] == [("ann", "beth"), ("ann", "cid"), ("beth", "cid")]
    assert not rest.next_page_token
    assert twins.corrections.list_distinct("g", subject_id="beth", page_size=5).items == (
        ("ann", "beth"),
        ("beth", "cid"),
    )
