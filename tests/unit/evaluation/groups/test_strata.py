"""Strata of people with about as many trials."""

from __future__ import annotations

import numpy as np

from facet.evaluation.groups.strata import PEOPLE, drawn, strata_of


def test_every_person_is_in_one_stratum_and_has_at_least_its_trials() -> None:
    rng = np.random.default_rng(0)
    trials, group = rng.integers(1, 60, 200), rng.integers(3, size=200)
    strata = strata_of(trials, group)
    assert sorted(np.concatenate([each.people for each in strata]).tolist()) == list(range(200))
    for each in strata:
        assert trials[each.people].min() == each.trials
    for each in strata[:-1]:
        assert len(np.unique(group[each.people])) > 1


def test_people_with_more_trials_than_anybody_else_join_those_who_come_next() -> None:
    trials, group = np.array([50, 40, 30, *[4] * 12, *[1] * 3]), np.array([0, 0, 0, *[1] * 12, 0, 1, 1])
    assert [(len(each.people), each.trials) for each in strata_of(trials, group)] == [(15, 4), (3, 1)]


def test_many_people_are_only_with_those_who_have_as_many_trials() -> None:
    trials = np.repeat([3, 2, 1], 2 * PEOPLE)
    assert [each.trials for each in strata_of(trials, np.arange(len(trials)) % 2)] == [3, 2, 1]


def test_a_part_of_the_trials_has_as_many_errors_as_the_person_on_average() -> None:
    errors, trials = np.array([0, 5, 6, 20]), np.array([10, 5, 60, 20])
    found = drawn(errors, trials, np.array([5, 5, 10, 5]), 4000, np.random.default_rng(0))
    assert found[:, [0, 1, 3]].tolist() == [[0, 5, 5]] * 4000
    assert 0.95 < found[:, 2].mean() < 1.05
