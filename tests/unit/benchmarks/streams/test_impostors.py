"""How similar strangers are to their most similar subject."""

from __future__ import annotations

import numpy as np
import pytest

from facet.benchmarks.streams.impostors import measured


def test_larger_galleries_have_more_similar_strangers_and_nobody_is_compared_with_themselves() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((300, 64)).astype(np.float32)
    people = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    small, large = (measured(people, size, rng) for size in (1, 100))
    assert small.reaching["0.22"] < large.reaching["0.22"] < 1
    assert small.one_in_1000 < large.one_in_1000 < 0.6
    assert (small.threshold, large.threshold) == pytest.approx((0.225, 0.329))


def test_one_person_under_two_names_is_left_out() -> None:
    people = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)
    assert measured(people, 7, np.random.default_rng(0)).one_in_1000 <= 0
