"""Shrinking without aliasing."""

from __future__ import annotations

import numpy as np
import pytest

from facet.runtime.resampling import HALVE_FROM, halved, power_of_two, resized


@pytest.mark.parametrize("side", [400, 401, 512, 777])
def test_a_shrunk_pattern_of_single_pixels_becomes_its_mean(side: int) -> None:
    rows, columns = np.mgrid[:side, :side]
    board = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    small = resized(board, 100, 100)
    assert small.shape == (100, 100, 3)
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_a_picture_that_shrinks_little_stays_as_it_is() -> None:
    picture = np.zeros((50, 50, 3), np.uint8)
    assert halved(picture, HALVE_FROM - 0.01) is picture


@pytest.mark.parametrize(("ratio", "factor"), [(0.1, 1), (1.99, 1), (2.0, 2), (3.99, 2), (4.0, 4), (1000.0, 512)])
def test_the_factor_is_the_one_by_which_a_picture_is_halved(ratio: float, factor: int) -> None:
    assert power_of_two(ratio) == factor
    assert halved(np.zeros((1024, 2048, 3), np.uint8), ratio).shape == (1024 // factor, 2048 // factor, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 5000)])
def test_no_side_becomes_shorter_than_a_pixel(size: tuple[int, int]) -> None:
    assert resized(np.full((*size, 3), 7, np.uint8), 1, 1).tolist() == [[[7, 7, 7]]]
    assert min(halved(np.zeros((*size, 3), np.uint8), 1e9).shape[:2]) >= 1
