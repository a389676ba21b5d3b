"""The walk over the blocks of a GIF."""

from __future__ import annotations

import numpy as np
import pytest

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from facet.runtime.pictures.decoding import walk
from facet.runtime.pictures.formats.gif import MAX_BLOCKS
from tests.unit.runtime.pictures.formats.samples import GIF, GIF_HEAD, GIF_IMAGE, GIF_PIXELS, gif_placed
from tests.unit.runtime.pictures.samples import ENOUGH, encode


def test_the_first_frame_of_many_is_taken_and_the_others_are_not_looked_at() -> None:
    frame = GIF[GIF.index(b",", GIF_HEAD) : -1]
    many = GIF[:-1] + frame * 10_000
    assert np.array_equal(decode(many, max_pixels=ENOUGH), GIF_PIXELS)
    assert sum(map(len, walk(many, max_pixels=ENOUGH).parts)) <= len(GIF) + 64


def test_a_frame_smaller_than_its_canvas_lies_on_black() -> None:
    decoded = decode(gif_placed(20, 10, (100, 80)), max_pixels=ENOUGH)
    assert decoded.shape == (80, 100, 3)
    assert np.array_equal(decoded[10:58, 20:84], GIF_PIXELS)
    decoded[10:58, 20:84] = 0
    assert not decoded.any()


def test_transparency_is_dropped_and_rows_may_be_interlaced() -> None:
    assert np.array_equal(decode(encode("GIF", GIF_IMAGE, transparency=7, interlace=1), max_pixels=ENOUGH), GIF_PIXELS)


DAMAGED = {
    "a frame beyond its canvas": (gif_placed(1, 0, (64, 48)), "does not fit into its canvas"),
    "no frame": (GIF[:GIF_HEAD] + b";", "no pixels"),
    "no table of colours": (GIF[:10] + b"\0\0\0" + GIF[GIF.index(b",", GIF_HEAD) :], "no colours"),
    "a code size that does not exist": (GIF[: GIF_HEAD + 10] + b"\x0f" + GIF[GIF_HEAD + 11 :], "damaged"),
    "a canvas without pixels": (GIF[:6] + bytes(2) + GIF[8:], "no pixels"),
    "more blocks than allowed": (GIF[:GIF_HEAD] + b"\x21\xfe\0" * (MAX_BLOCKS + 10_000), "too many blocks"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_gif_is_refused(name: str) -> None:
    data, reason = DAMAGED[name]
    with pytest.raises(InvalidPicture, match=reason):
        decode(data, max_pixels=ENOUGH)


def test_a_gif_that_is_cut_anywhere_is_refused() -> None:
    for end in range(8, len(GIF) - 2, 61):
        with pytest.raises(InvalidPicture, match="truncated"):
            decode(GIF[:end], max_pixels=ENOUGH)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(PictureTooLarge, match="65535x65535"):
        read_header(gif_placed(0, 0, (65535, 65535)), max_pixels=ENOUGH)
