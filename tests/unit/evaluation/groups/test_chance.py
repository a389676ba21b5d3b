"""Whether differences of groups are called beyond chance."""

from __future__ import annotations

import numpy as np
import pytest

from facet.evaluation.groups.chance import Chance, chance_of

PEOPLE = 200


def outcome(rng: np.random.Generator, rates: list[float], *, clustered: bool = False, seed: int = 0) -> Chance:
    """Four trials of each person, who is in a random group with this error rate; clustered, one decides all four."""
    group = rng.integers(len(rates), size=PEOPLE)
    of_person = np.array(rates)[group][:, None]
    errors = rng.random((PEOPLE, 1 if clustered else 4)) < of_person
    errors = np.broadcast_to(errors, (PEOPLE, 4)).ravel()
    people = np.repeat(np.arange(PEOPLE), 4)
    return chance_of(errors, people, None, group[people], len(rates), seed=seed)


@pytest.mark.parametrize("clustered", [False, True])
def test_groups_without_meaning_are_seldom_beyond_chance(clustered: bool) -> None:
    """Also if all pictures of a person fail together, which a test over pictures would take for evidence."""
    rng = np.random.default_rng(1)
    p = [outcome(rng, [0.1] * 5, clustered=clustered, seed=seed).p for seed in range(40)]
    assert sum(each is not None and each <= 0.05 for each in p) <= 5


def unequal(rng: np.random.Generator, few: tuple[int, int], many: tuple[int, int]) -> Chance:
    """Ten people with many trials each, and 100 with few; all have an error rate from one distribution."""
    trials = np.concatenate((rng.integers(*many, 10), rng.integers(*few, 100)))
    people = np.repeat(np.arange(110), trials)
    errors = rng.random(len(people)) < rng.beta(0.3, 2.7, 110)[people]
    return chance_of(errors, people, None, (people >= 10).astype(np.intp), 2, seed=0)


def test_people_with_more_pictures_vary_more_and_are_no_difference_of_groups() -> None:
    rng = np.random.default_rng(8)
    p = [unequal(rng, (1, 10), (1, 40)).p for _ in range(40)]
    assert sum(each is not None and each <= 0.05 for each in p) <= 5


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


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_groups_without_errors_or_without_successes_do_not_differ(rate: float) -> None:
    found = outcome(np.random.default_rng(4), [rate, rate])
    assert (found.p, found.verdict(0, 0.05), found.verdict(1, 0.05)) == (1.0, "within chance", "within chance")


def test_one_person_who_resembles_everybody_is_no_difference_of_groups() -> None:
    """All false matches of a group are pairs with one person, whom a test over pairs would take for evidence."""
    first, second = np.triu_indices(40, 1)
    group = np.arange(40) % 2
    within = group[first] == group[second]
    first, second = first[within], second[within]
    errors = first == 0
    found = chance_of(errors, first, second, group[first], 2, seed=0)
    assert found.p is not None
    assert found.p > 0.2


def test_pairs_of_many_people_who_resemble_each_other_are_a_difference_of_groups() -> None:
    rng = np.random.default_rng(5)
    first, second = np.triu_indices(60, 1)
    group = np.arange(60) % 3
    within = group[first] == group[second]
    first, second = first[within], second[within]
    errors = rng.random(len(first)) < np.where(group[first] == 1, 0.3, 0.02)
    found = chance_of(errors, first, second, group[first], 3, seed=0)
    assert found.verdict(1, 0.05) == "higher"
