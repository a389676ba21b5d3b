"""The error-versus-discard curve, and the degradations it is measured on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facet.evaluation.quality.degradations import DEGRADATIONS
from facet.evaluation.quality.figures import quality_figures
from facet.evaluation.quality.run import NO_FACE, QUALITY, DegradedProbe


def left(probes: list[DegradedProbe]) -> list[float]:
    return [each["false_non_matches_left"] for each in quality_figures(probes, 0.28)["error_versus_discard"]]


def probes(qualities: list[float]) -> list[DegradedProbe]:
    """A hundred probes, of which the first twenty are missed."""
    return [DegradedProbe(i, "night", 0.1 if i < 20 else 0.6, {QUALITY: q}) for i, q in enumerate(qualities)]


def test_quality_that_predicts_every_error_leaves_none() -> None:
    assert left(probes([i / 100 for i in range(100)])) == pytest.approx([1, 0.75, 0.5, 0])


def test_quality_that_says_the_contrary_leaves_all() -> None:
    assert left(probes([1 - i / 100 for i in range(100)])) == pytest.approx([1, 1, 1, 1])


def test_the_same_quality_everywhere_predicts_nothing() -> None:
    assert left(probes([0.5] * 100)) == pytest.approx([1, 0.95, 0.9, 0.8])


def test_probes_without_a_face_are_counted_and_in_no_curve() -> None:
    figures = quality_figures([DegradedProbe(0, "night", NO_FACE, {})], 0.28)
    assert figures["without_face"] == 1
    assert [each["fnmr"] for each in figures["error_versus_discard"]] == [None] * 4
    assert figures["degradations"][0]["fnmr"] is None


def test_candidates_have_curves_of_their_own_with_intervals() -> None:
    blind = [
        replace(each, measures={QUALITY: 0.5, "sharpness": at / 100}) for at, each in enumerate(probes([0.5] * 100))
    ]
    figures = quality_figures(blind, 0.28)
    last = figures["candidates"]["sharpness"][-1]
    assert last["false_non_matches_left"] == pytest.approx(0)
    assert figures["error_versus_discard"][-1]["low"] <= 0.8 <= figures["error_versus_discard"][-1]["high"]
    assert last["high"] < figures["error_versus_discard"][-1]["low"]


def test_the_reasons_of_refusals_are_counted_by_degradation() -> None:
    refused = [replace(each, refused="FACE_TOO_DARK") for each in probes([0.5] * 30)]
    (kind,) = quality_figures([*refused, *probes([0.5] * 10)], 0.28)["degradations"]
    assert kind["refused"] == {"FACE_TOO_DARK": 30}


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("size", [(1, 1, 3), (40, 33, 3)])
def test_a_degradation_gives_a_picture_and_the_same_one_each_time(name: str, size: tuple[int, int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, size).astype(np.uint8)
    landmarks = np.array([(11, 14), (22, 14), (16, 21), (12, 27), (21, 27)], np.float32)
    first, second = DEGRADATIONS[name](picture, landmarks), DEGRADATIONS[name](picture, landmarks)
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert np.array_equal(first, second)
