"""Sketches: distances, and how well they agree with a probe."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.index.binary_codes import hamming, most_agreeing, sketch


@pytest.mark.parametrize("dimension", [8, 20, 512])
def test_the_sketches_that_agree_best_are_those_of_the_largest_signed_sum(dimension: int) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((500, dimension)).astype(np.float32)
    probe = rng.standard_normal(dimension).astype(np.float32)
    signed = np.where(vectors > 0, 1.0, -1.0) @ probe
    rows, products = most_agreeing(probe, sketch(vectors, np.zeros(dimension, np.float32)), 25)
    assert products == pytest.approx(np.sort(signed)[::-1][:25], abs=1e-3)
    assert signed[rows] == pytest.approx(products, abs=1e-3)


def test_a_distance_is_the_number_of_bits_that_differ() -> None:
    sketches = np.array([[0b0000_0000, 0xFF], [0b0000_0111, 0xFF]], np.uint8)
    assert hamming(sketches[:1], sketches).tolist() == [[0, 3]]
