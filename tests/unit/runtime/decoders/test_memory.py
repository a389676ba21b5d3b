"""Pictures of the largest permitted size fit into the memory of a decoder."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.runtime.decoders import DecoderPool
from tests.unit.runtime.pictures.formats.samples import KINDS, heif_file, heif_grid, heif_item
from tests.unit.runtime.pictures.samples import encode, pixels

MAX_PIXELS = 50_000_000
TILE = 512
SIDE = 7070
"""Of a square of nearly 50 megapixels."""


def tiled(kind: str, tile: NDArray[np.uint8]) -> bytes:
    """A picture of many tiles, as phones write them, all alike."""
    across = -(-SIDE // TILE)
    coded = heif_item(kind, encoded=encode(kind, tile, quality=50))
    grid = heif_grid(across, across, SIDE, SIDE)
    return heif_file([*[coded] * across**2, grid], list(range(1, across**2 + 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_50_megapixels_is_decoded(kind: str) -> None:
    pool = DecoderPool(1, for_large=True)
    try:
        decoded = pool.decode(tiled(kind, pixels(TILE, TILE)), max_pixels=MAX_PIXELS)
    finally:
        pool.close()
    assert decoded.shape == (SIDE, SIDE, 3)
    last = decoded[13 * TILE :, 13 * TILE :]
    assert np.abs(last.astype(int) - pixels(TILE, TILE)[: SIDE - 13 * TILE, : SIDE - 13 * TILE]).mean() < 10
