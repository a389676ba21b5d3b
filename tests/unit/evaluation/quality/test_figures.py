"""The error-versus-discard curve, and the degradations it is measured on."""

from __future__ import annotations

import numpy as np
import pytest

from facet.evaluation.quality.degradations import DEGRADATIONS
from facet.evaluation.quality.figures import quality_figures
from facet.evaluation.quality.run import NO_FACE, DegradedProbe


def left(probes: list[DegradedProbe]) -> list[float]:
    return [each["false_non_matches_left"] for each in quality_figures(probes, 0.28)["error_versus_discard"]]


def probes(qualities: list[float]) -> list[DegradedProbe]:
    """A hundred probes, of which the first twenty are missed."""
    return [DegradedProbe("night", q, 0.1 if i < 20 else 0.6) for i, q in enumerate(qualities)]


def test_quality_that_predicts_every_error_leaves_none() -> None:
    assert left(probes([i / 100 for i in range(100)])) == pytest.approx([1, 0.75, 0.5, 0])


def test_quality_that_says_the_contrary_leaves_all() -> None:
    assert left(probes([1 - i / 100 for i in range(100)])) == pytest.approx([1, 1, 1, 1])


def test_the_same_quality_everywhere_predicts_nothing() -> None:
    assert left(probes([0.5] * 100)) == pytest.approx([1, 0.95, 0.9, 0.8])


def test_probes_without_a_face_are_counted_and_in_no_curve() -> None:
    figures = quality_figures([DegradedProbe("night", 0.0, NO_FACE)], 0.28)
    assert figures["without_face"] == 1
    assert [each["fnmr"] for each in figures["error_versus_discard"]] == [None] * 4
    assert figures["degradations"][0]["fnmr"] is None


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("size", [(1, 1, 3), (40, 33, 3)])
def test_a_degradation_gives_a_picture_and_the_same_one_each_time(name: str, size: tuple[int, int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, size).astype(np.uint8)
    first, second = DEGRADATIONS[name](picture), DEGRADATIONS[name](picture)
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert np.array_equal(first, second)
