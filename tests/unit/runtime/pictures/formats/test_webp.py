"""The walk over the chunks of a WebP."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from PIL import Image

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from facet.runtime.pictures.formats.webp import MAX_CHUNKS
from tests.unit.runtime.pictures.samples import ENOUGH, encode, pixels, riff

LOSSY = encode("WEBP")
LOSSLESS = encode("WEBP", lossless=True)
VP8, VP8L = LOSSY[20:], LOSSLESS[20:]


def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def frame(x: int, y: int, body: bytes, kind: bytes = b"VP8L", size: tuple[int, int] = (64, 48)) -> tuple[bytes, bytes]:
    numbers = (x // 2, y // 2, size[0] - 1, size[1] - 1, 100)
    inner = kind + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)
    return b"ANMF", b"".join(number.to_bytes(3, "little") for number in numbers) + b"\0" + inner


def test_what_pixels_do_not_need_changes_nothing() -> None:
    expected = decode(LOSSLESS, max_pixels=ENOUGH)
    assert np.array_equal(expected, pixels())
    more = riff(canvas(64, 48), (b"ICCP", bytes(100_000)), (b"VP8L", VP8L), (b"XXXX", bytes(1000)), (b"XMP ", b"<x>"))
    assert np.array_equal(decode(more, max_pixels=ENOUGH), expected)
    assert np.array_equal(decode(LOSSLESS + b"\0" * 1000, max_pixels=ENOUGH), expected)


def test_alpha_is_dropped_without_a_change_of_the_colours() -> None:
    picture = Image.fromarray(pixels()[..., ::-1].copy())
    picture.putalpha(picture.convert("L"))
    assert np.array_equal(decode(encode("WEBP", picture, lossless=True, exact=True), max_pixels=ENOUGH), pixels())


def test_a_frame_smaller_than_its_canvas_lies_on_black() -> None:
    data = riff(canvas(100, 80, 2), (b"ANIM", bytes(6)), frame(20, 10, VP8L), frame(0, 0, VP8L))
    decoded = decode(data, max_pixels=ENOUGH)
    assert decoded.shape == (80, 100, 3)
    assert np.array_equal(decoded[10:58, 20:84], pixels())
    decoded[10:58, 20:84] = 0
    assert not decoded.any()


DAMAGED = {
    "a chunk that ends behind the data": (LOSSY[:16] + b"\xff\xff\xff\x7f" + LOSSY[20:], "ends behind its data"),
    "a file that ends behind the data": (LOSSY[:4] + b"\xff\xff\xff\x7f" + LOSSY[8:], "truncated or damaged"),
    "a file of no bytes": (LOSSY[:4] + bytes(4) + LOSSY[8:], "truncated or damaged"),
    "more chunks than allowed": (riff(canvas(64, 48), *[(b"XXXX", b"")] * MAX_CHUNKS), "chunks"),
    "no picture": (riff(canvas(64, 48)), "no pixels"),
    "a short canvas": (riff((b"VP8X", bytes(4)), (b"VP8 ", VP8)), "header"),
    "no key frame": (riff((b"VP8 ", b"\1" + VP8[1:])), "header"),
    "no signature": (riff((b"VP8L", b"\0" + VP8L[1:])), "header"),
    "an empty picture": (riff((b"VP8 ", b"")), "header"),
    "a picture larger than its canvas": (riff(canvas(10, 10), (b"VP8 ", VP8)), "canvas"),
    "a frame outside of its canvas": (riff(canvas(64, 48, 2), frame(20, 10, VP8L)), "canvas"),
    "a frame of another size than its picture": (riff(canvas(64, 48, 2), frame(0, 0, VP8L, size=(8, 8))), "frame"),
    "a frame of nothing": (riff(canvas(64, 48, 2), (b"ANMF", bytes(16))), "frame"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_webp_is_refused_with_its_problem(name: str) -> None:
    data, problem = DAMAGED[name]
    with pytest.raises(InvalidPicture, match=re.escape(problem)):
        read_header(data, max_pixels=ENOUGH)


def test_a_few_bytes_that_claim_a_huge_picture_are_refused_by_the_limit_of_pixels() -> None:
    bomb = riff((b"VP8L", b"\x2f" + struct.pack("<I", 16382 | 16382 << 14) + bytes(20)))
    with pytest.raises(PictureTooLarge, match="16383x16383"):
        read_header(bomb, max_pixels=50_000_000)
    with pytest.raises(PictureTooLarge, match="16777216x16777216"):
        read_header(riff(canvas(2**24, 2**24), (b"VP8L", VP8L)), max_pixels=50_000_000)
