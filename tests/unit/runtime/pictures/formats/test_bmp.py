"""The check of a BMP's header."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from tests.unit.runtime.pictures.samples import ENOUGH, bmp_of_runs, encode, pixels

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


def test_runs_may_reach_into_the_padding_of_a_row() -> None:
    """ImageMagick writes them so."""
    rows = [(10, 20), (30, 40), (50, 60)]
    runs = b"".join(bytes((4, left, 4, right, 0, 0)) for left, right in rows) + b"\0\1"
    expected = [[left] * 4 + [right] for left, right in reversed(rows)]
    assert decode(bmp_of_runs(5, 3, runs), max_pixels=ENOUGH)[..., 0].tolist() == expected


def test_runs_of_halves_of_a_byte_may_reach_into_the_padding_of_a_row() -> None:
    data = bytearray(bmp_of_runs(5, 2, b"\x08\x12\0\0\x08\x34\0\1"))
    data[28:34] = struct.pack("<HI", 4, 2)
    assert decode(bytes(data), max_pixels=ENOUGH)[..., 0].tolist() == [[3, 4, 3, 4, 3], [1, 2, 1, 2, 1]]


@pytest.mark.parametrize("width", [4, 5])
def test_a_bitmap_may_end_early_and_the_rest_is_of_the_first_colour(width: int) -> None:
    runs = bytes((width, 10, 0, 0, width, 20, 0, 0, 0, 1))
    expected = [[0] * width, [20] * width, [10] * width]
    assert decode(bmp_of_runs(width, 3, runs), max_pixels=ENOUGH)[..., 0].tolist() == expected


def test_a_jump_over_rows_leaves_them_in_the_first_colour() -> None:
    runs = b"\5\x0a\0\0\0\2\1\1\2\x1e\0\1"
    assert decode(bmp_of_runs(5, 3, runs), max_pixels=ENOUGH)[..., 0].tolist() == [[0, 30, 30, 0, 0], [0] * 5, [10] * 5]


def test_runs_that_leave_the_picture_are_decoded_or_refused() -> None:
    """Each run is longer than a row, and there are far too many."""
    with suppress(InvalidPicture):
        assert decode(bmp_of_runs(64, 48, b"\xff\1" * 100_000), max_pixels=ENOUGH).shape == (48, 64, 3)


def test_runs_that_end_too_early_are_refused() -> None:
    with pytest.raises(InvalidPicture, match="the BMP is truncated or damaged"):
        decode(bmp_of_runs(64, 48, b"\x40\1\0\0"), max_pixels=ENOUGH)
