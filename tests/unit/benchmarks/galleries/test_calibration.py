"""The benchmark of calibrations, on made-up faces of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.benchmarks.galleries.calibration import growth, measure
from facet.benchmarks.galleries.templates import Faces

DIMENSION = 48


def directions(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def crowd(noise: float) -> Faces:
    """300 people with a template and a mated probe each, and probes of 600 others."""
    rng = np.random.default_rng(0)
    templates = directions(rng.normal(size=(300, DIMENSION)))
    mated = directions(templates + noise * directions(rng.normal(size=templates.shape)))
    return Faces(templates, mated, np.arange(300), directions(rng.normal(size=(600, DIMENSION))))


def test_thresholds_of_one_half_keep_their_promise_on_the_other() -> None:
    measured = {(each.method, each.target): each for each in measure(crowd(0.1), 4)}
    assert len(measured) == 16
    for target in (0.1, 0.03, 0.01):
        assert measured["probes", target].measured == pytest.approx(target, rel=0.5)
    thresholds = [measured["probes", target].threshold for target in (0.1, 0.03, 0.01, 0.003)]
    assert thresholds == sorted(thresholds)


def test_more_is_missed_where_fewer_strangers_may_pass() -> None:
    assert {each.missed for each in measure(crowd(0.1), 1)} == {0.0}
    missed = [each.missed for each in measure(crowd(2.0), 1) if each.method == "probes"]
    assert missed == sorted(missed)
    assert 0 < missed[0] < missed[-1] <= 1


def test_the_growth_of_a_part_to_the_whole_is_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facet.benchmarks.galleries.calibration._PARTS", 5)
    grown = growth(crowd(0.1))
    assert [(each.templates, each.target, each.parts) for each in grown] == [
        (size, target, 5) for size in (60, 150) for target in (0.1, 0.01)
    ]
    for each in grown:
        if each.target == 0.1:
            assert each.measured == pytest.approx(0.1, rel=0.4)
