"""Binary codes: Hamming distances, and inner products with a probe."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.index.binary_codes import best_products, encode, hamming_distances


@pytest.mark.parametrize("dimension", [8, 20, 512])
def test_best_products_are_the_largest_signed_sums(dimension: int) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((500, dimension)).astype(np.float32)
    probe = rng.standard_normal(dimension).astype(np.float32)
    signed = np.where(vectors > 0, 1.0, -1.0) @ probe
    rows, products = best_products(probe, encode(vectors, np.zeros(dimension, np.float32)), 25)
    assert products == pytest.approx(np.sort(signed)[::-1][:25], abs=1e-3)
    assert signed[rows] == pytest.approx(products, abs=1e-3)


def test_hamming_distance_counts_differing_bits() -> None:
    codes = np.array([[0b0000_0000, 0xFF], [0b0000_0111, 0xFF]], np.uint8)
    assert hamming_distances(codes[:1], codes).tolist() == [[0, 3]]
