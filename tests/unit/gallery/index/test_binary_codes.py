"""Binary codes: Hamming distances, and estimated inner products with a probe."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.index.binary_codes import encode, estimated_products, hamming_distances


@pytest.mark.parametrize("dimension", [20, 128, 512])
def test_estimated_products_rise_with_the_products_of_probe_and_signs(dimension: int) -> None:
    """They rank codes as the inner product of the probe's values with the signs of the codes does."""
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((2000, dimension)).astype(np.float32)
    probe = rng.standard_normal(dimension).astype(np.float32)
    codes = encode(vectors, np.zeros(dimension, np.float32))
    estimates, signed = estimated_products(probe, codes), np.where(vectors > 0, 1.0, -1.0) @ probe
    assert np.corrcoef(estimates, signed)[0, 1] > 0.999
    best, truly_best = (set(np.argsort(-each)[:100].tolist()) for each in (estimates, signed))
    assert len(best & truly_best) >= 90


@pytest.mark.parametrize("value", [1.0, -1.0, 1e-30])
def test_the_largest_value_of_a_probe_decides_on_its_side(value: float) -> None:
    """Also if it is negative or tiny: the code of the probe is nearer than that of its opposite."""
    probe = np.zeros(16, np.float32)
    probe[3] = value
    own, opposite = estimated_products(probe, encode(np.stack([probe, -probe]), np.zeros(16, np.float32)))
    assert own > opposite


def test_hamming_distance_counts_differing_bits() -> None:
    codes = np.array([[0b0000_0000, 0xFF], [0b0000_0111, 0xFF]], np.uint8)
    assert hamming_distances(codes[:1], codes).tolist() == [[0, 3]]
