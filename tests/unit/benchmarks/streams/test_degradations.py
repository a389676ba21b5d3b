"""What spoils pictures for the benchmark of strangers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.benchmarks.streams.degradations import Degradation, degraded

PICTURE = np.random.default_rng(0).integers(60, 200, (40, 30, 3), np.uint8)


def spoilt(how: Degradation) -> NDArray[np.uint8]:
    return degraded(PICTURE, how, np.random.default_rng(1))


def test_no_degradation_changes_nothing() -> None:
    assert np.array_equal(spoilt(Degradation.NONE), PICTURE)


@pytest.mark.parametrize("how", [each for each in Degradation if each is not Degradation.NONE])
def test_a_degradation_changes_the_picture_and_not_its_shape(how: Degradation) -> None:
    assert spoilt(how).shape == PICTURE.shape
    assert spoilt(how).dtype == np.uint8
    assert not np.array_equal(spoilt(how), PICTURE)


def test_each_degradation_is_what_it_is_called() -> None:
    assert spoilt(Degradation.DARK).mean() < 0.2 * PICTURE.mean()
    assert spoilt(Degradation.NOISE).std() > 1.2 * PICTURE.std()
    assert spoilt(Degradation.MOTION).std() < PICTURE.std()
    assert np.array_equal(spoilt(Degradation.NEGATIVE), 255 - PICTURE)
