"""Calls that are timed in turns."""

from __future__ import annotations

import numpy as np

from facet.benchmarks.trust.pairs import Pairs, take_turns


def test_each_call_begins_every_second_round() -> None:
    said: list[str] = []
    pairs = take_turns(lambda: said.append("plain"), lambda: said.append("guarded"), rounds=3)
    warm_up, rounds = said[:2], said[2:]
    assert warm_up == ["plain", "guarded"]
    assert rounds == ["plain", "guarded", "guarded", "plain", "plain", "guarded"]
    assert pairs.plain_ms.shape == pairs.guarded_ms.shape == (3,)


def test_what_is_added_is_the_median_over_rounds_and_one_slow_round_is_not_it() -> None:
    pairs = Pairs(np.array([1.0, 2.0, 1.0, 2.0, 50.0]), np.array([1.5, 2.5, 1.5, 2.5, 90.0]))
    assert pairs.added_ms == 0.5
    assert pairs.ratio == 1.25
