"""Intervals of figures, over identities."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.intervals import Identities, bootstrapped_together, share


def test_intervals_over_identities_contain_the_truth_at_about_their_confidence() -> None:
    """Each person has a difficulty of their own, so intervals over items would be far too narrow."""
    rng, normal, held, repetitions = np.random.default_rng(4), NormalDist(), 0, 100
    truth = normal.cdf(-1.5 / 2**0.5)
    for _ in range(repetitions):
        ease = rng.normal(size=40).repeat(25)
        missed = ease + rng.normal(size=1000) < -1.5
        names = np.arange(40).repeat(25).tolist()
        figure = share(missed, names, Identities(names, seed=0, rounds=200))
        assert figure.low is not None
        assert figure.high is not None
        held += figure.low <= truth <= figure.high
    assert 0.85 <= held / repetitions <= 1


def test_figures_computed_together_equal_those_computed_one_by_one() -> None:
    names, hit = ["a", "a", "b", "c", "d"], np.array([True, False, True, False, False])
    people = Identities(names, seed=0)

    def shares(weights: NDArray[np.int64]) -> dict[str, float | None]:
        return {"hit": float(weights[hit].sum() / weights.sum()), "nothing": None}

    figures = bootstrapped_together(shares, 5, people.weights(names))
    assert figures["hit"] == share(hit, names, people)
    assert figures["nothing"].value is None
