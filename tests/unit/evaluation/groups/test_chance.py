"""Whether differences of groups are called beyond chance."""

from __future__ import annotations

import numpy as np
import pytest

from facet.evaluation.groups.chance import Chance, chance_of

PEOPLE = 100


def outcome(rng: np.random.Generator, rates: list[float], *, clustered: bool = False, seed: int = 0) -> Chance:
    """Four trials of each person, who is in a random group with this error rate; clustered, one decides all four."""
    group = rng.integers(len(rates), size=PEOPLE)
    of_person = np.array(rates)[group][:, None]
    errors = rng.random((PEOPLE, 1 if clustered else 4)) < of_person
    errors = np.broadcast_to(errors, (PEOPLE, 4)).ravel()
    people = np.repeat(np.arange(PEOPLE), 4)
    return chance_of(errors, people, None, group[people], level=0.05, seed=seed)


@pytest.mark.parametrize("clustered", [False, True])
def test_groups_without_meaning_are_seldom_beyond_chance(clustered: bool) -> None:
    """Also if all pictures of a person fail together, which a test over pictures would take for evidence."""
    rng = np.random.default_rng(1)
    p = [outcome(rng, [0.1] * 5, clustered=clustered, seed=seed).p for seed in range(40)]
    assert sum(each is not None and each <= 0.05 for each in p) <= 5


def unequal(rng: np.random.Generator, few: tuple[int, int], many: tuple[int, int]) -> Chance:
    """Ten people with many trials each, and 100 with few; all have an error rate from one skew distribution."""
    trials = np.concatenate((rng.integers(*many, 10), rng.integers(*few, 100)))
    people = np.repeat(np.arange(110), trials)
    errors = rng.random(len(people)) < rng.beta(0.1, 4.9, 110)[people]
    return chance_of(errors, people, None, (people >= 10).astype(np.intp), level=0.05, seed=0)


def test_ten_people_with_more_pictures_than_others_are_seldom_a_difference_of_groups() -> None:
    """A permutation of scores that are only scaled to one variance calls 7 of these 63 beyond chance."""
    rng = np.random.default_rng(8)
    p = [each for each in (unequal(rng, (1, 10), (3, 61)).p for _ in range(200)) if each is not None]
    assert len(p) > 40
    assert sum(each <= 0.05 for each in p) <= 0.05 * len(p)


def test_ten_people_with_many_pictures_and_more_errors_are_higher() -> None:
    """Their rate is four times that of the others, who have fewer pictures."""
    rng = np.random.default_rng(9)
    trials = np.concatenate((np.arange(3, 60, 6), rng.integers(1, 10, 100)))
    people = np.repeat(np.arange(110), trials)
    errors = rng.random(len(people)) < np.where(people < 10, 0.4, 0.1)
    found = chance_of(errors, people, None, (people >= 10).astype(np.intp), level=0.05, seed=0)
    assert (found.verdict(0, 0.05), found.verdict(1, 0.05)) == ("higher", "lower")


def test_few_people_with_errors_cannot_tell_whether_groups_differ() -> None:
    people = np.repeat(np.arange(40), 3)
    found = chance_of(people < 3, people, None, people // 20, level=0.05, seed=0)
    assert found.p is None
    assert found.note == "too few people to tell: 3 with errors"
    assert found.verdict(0, 0.05) == found.verdict(1, 0.05) == "too few people"


def test_groups_whose_people_have_other_numbers_of_pictures_are_not_comparable() -> None:
    found = unequal(np.random.default_rng(9), (1, 3), (20, 60))
    assert found.p is None
    assert found.verdict(0, 0.05) == found.verdict(1, 0.05) == "not comparable"


def test_a_group_with_more_errors_is_higher_and_only_that_one() -> None:
    found = outcome(np.random.default_rng(2), [0.02, 0.02, 0.3, 0.02])
    assert found.p is not None
    assert found.p < 0.001
    assert found.verdict(2, 0.05) == "higher"
    assert found.by_group[2] == found.p


def test_a_single_group_is_not_outcome() -> None:
    found = outcome(np.random.default_rng(3), [0.1])
    assert (found.p, found.verdict(0, 0.05)) == (None, None)


@pytest.mark.parametrize(("rate", "verdict"), [(0.0, "no errors"), (1.0, "within chance")])
def test_groups_without_errors_or_without_successes_do_not_differ(rate: float, verdict: str) -> None:
    found = outcome(np.random.default_rng(4), [rate, rate])
    assert (found.p, found.verdict(0, 0.05), found.verdict(1, 0.05)) == (1.0, verdict, verdict)


def test_one_person_who_resembles_everybody_is_no_difference_of_groups() -> None:
    """All false matches of a group are pairs with one person, whom a test over pairs would take for evidence."""
    first, second = np.triu_indices(40, 1)
    group = np.arange(40) % 2
    within = group[first] == group[second]
    first, second = first[within], second[within]
    errors = first == 0
    found = chance_of(errors, first, second, group[first], level=0.05, seed=0)
    assert found.p is not None
    assert found.p > 0.2


def test_pairs_of_many_people_who_resemble_each_other_are_a_difference_of_groups() -> None:
    rng = np.random.default_rng(5)
    first, second = np.triu_indices(60, 1)
    group = np.arange(60) % 3
    within = group[first] == group[second]
    first, second = first[within], second[within]
    errors = rng.random(len(first)) < np.where(group[first] == 1, 0.3, 0.02)
    found = chance_of(errors, first, second, group[first], level=0.05, seed=0)
    assert found.verdict(1, 0.05) == "higher"
