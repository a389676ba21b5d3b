"""The check of a BMP's header."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from tests.unit.runtime.pictures.samples import ENOUGH, encode, pixels

BMP = encode("BMP")


def patched(position: int, value: bytes) -> bytes:
    return BMP[:position] + value + BMP[position + len(value) :]


def test_a_negative_height_means_that_the_first_row_is_on_top() -> None:
    upside_down = patched(22, struct.pack("<i", -48))
    assert np.array_equal(decode(upside_down, max_pixels=ENOUGH), pixels()[::-1])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (patched(18, struct.pack("<i", -64)), InvalidPicture),
        (patched(22, struct.pack("<i", 0)), InvalidPicture),
        (patched(22, struct.pack("<i", -(2**31))), PictureTooLarge),
        (patched(18, struct.pack("<ii", 2**31 - 1, 2**31 - 1)), PictureTooLarge),
        (patched(14, struct.pack("<I", 41)), InvalidPicture),
        (patched(14, struct.pack("<I", 2**32 - 1)), InvalidPicture),
        (patched(10, struct.pack("<I", 2**32 - 1)), InvalidPicture),
        (patched(28, struct.pack("<H", 7)), InvalidPicture),
        (BMP[:-1], InvalidPicture),
        (BMP[:20], InvalidPicture),
    ],
)
def test_a_header_that_does_not_fit_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_header(data, max_pixels=ENOUGH)


def test_runs_that_leave_the_picture_are_decoded_or_refused() -> None:
    """Eight bits a pixel, compressed runs: each run is longer than a row, and there are far too many."""
    palette = bytes(range(256)) * 4
    header = struct.pack("<IiiHHIIiiII", 40, 64, 48, 1, 8, 1, 0, 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + header + palette + b"\xff\1" * 100_000
    with suppress(InvalidPicture):
        assert decode(data, max_pixels=ENOUGH).shape == (48, 64, 3)
