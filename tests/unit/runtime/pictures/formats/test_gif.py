"""The walk over the blocks of a GIF."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from facet.runtime.pictures.decoding import walk
from facet.runtime.pictures.formats.gif import MAX_BLOCKS
from tests.unit.runtime.pictures.samples import ENOUGH, encode

IMAGE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (48, 64), np.uint8))
STILL = encode("GIF", IMAGE)
GREY = np.repeat(np.asarray(IMAGE)[..., None], 3, 2)
HEAD = 13 + 3 * 256
"""The header and the table of colours."""


def placed(x: int, y: int, canvas: tuple[int, int]) -> bytes:
    """The frame of 64x48 somewhere on a canvas."""
    frame = STILL.index(b",", HEAD)
    size = struct.pack("<HH", *canvas)
    return STILL[:6] + size + STILL[10 : frame + 1] + struct.pack("<HH", x, y) + STILL[frame + 5 :]


def test_the_first_frame_of_many_is_taken_and_the_others_are_not_looked_at() -> None:
    frame = STILL[STILL.index(b",", HEAD) : -1]
    many = STILL[:-1] + frame * 10_000
    assert np.array_equal(decode(many, max_pixels=ENOUGH), GREY)
    assert sum(map(len, walk(many, max_pixels=ENOUGH).parts)) <= len(STILL) + 64


def test_a_frame_smaller_than_its_canvas_lies_on_black() -> None:
    decoded = decode(placed(20, 10, (100, 80)), max_pixels=ENOUGH)
    assert decoded.shape == (80, 100, 3)
    assert np.array_equal(decoded[10:58, 20:84], GREY)
    decoded[10:58, 20:84] = 0
    assert not decoded.any()


def test_transparency_is_dropped_and_rows_may_be_interlaced() -> None:
    assert np.array_equal(decode(encode("GIF", IMAGE, transparency=7, interlace=1), max_pixels=ENOUGH), GREY)


DAMAGED = {
    "a frame beyond its canvas": (placed(1, 0, (64, 48)), "does not fit into its canvas"),
    "no frame": (STILL[:HEAD] + b";", "no pixels"),
    "no table of colours": (STILL[:10] + b"\0\0\0" + STILL[STILL.index(b",", HEAD) :], "no colours"),
    "a code size that does not exist": (STILL[: HEAD + 10] + b"\x0f" + STILL[HEAD + 11 :], "damaged"),
    "a canvas without pixels": (STILL[:6] + bytes(2) + STILL[8:], "no pixels"),
    "more blocks than allowed": (STILL[:HEAD] + b"\x21\xfe\0" * (MAX_BLOCKS + 10_000), "too many blocks"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_gif_is_refused(name: str) -> None:
    data, reason = DAMAGED[name]
    with pytest.raises(InvalidPicture, match=reason):
        decode(data, max_pixels=ENOUGH)


def test_a_gif_that_is_cut_anywhere_is_refused() -> None:
    for end in range(8, len(STILL) - 2, 61):
        with pytest.raises(InvalidPicture, match="truncated"):
            decode(STILL[:end], max_pixels=ENOUGH)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(PictureTooLarge, match="65535x65535"):
        read_header(placed(0, 0, (65535, 65535)), max_pixels=ENOUGH)
