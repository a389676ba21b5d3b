"""The walk over the chunks of a PNG, and its decoding."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pytest
from PIL import Image

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from facet.runtime.pictures.decoding import walk
from facet.runtime.pictures.formats.png import MAX_CHUNKS
from tests.unit.runtime.pictures.samples import ENOUGH, chunk, encode, pixels, png, rows

PLAIN = png(20, 10, rows(20, 10))
GREY = np.full((10, 20, 3), 127, np.uint8)
BOMB = zlib.compress(bytes(10**7), 9)

HARMLESS = {
    "texts": png(20, 10, rows(20, 10), before=chunk(b"tEXt", b"key\0value") * 10_000),
    "a bomb of text": png(20, 10, rows(20, 10), before=chunk(b"zTXt", b"a\0\0" + BOMB)),
    "a bomb of a colour profile": png(20, 10, rows(20, 10), before=chunk(b"iCCP", b"a\0\0" + BOMB)),
    "a bomb of metadata": png(20, 10, rows(20, 10), before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB)),
    "damage outside of the pixels": png(20, 10, rows(20, 10), before=chunk(b"tEXt", b"a\0b")[:-4] + bytes(4)),
    "pixels that inflate further": png(20, 10, zlib.compress((b"\0" + b"\x7f" * 60) * 10 + bytes(10**7))),
    "pixels after other chunks": png(20, 10, rows(20, 10), behind=chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", BOMB)),
    "bytes behind the end": PLAIN + b"\0" * 1000,
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_pixels_do_not_need_changes_nothing(name: str) -> None:
    assert np.array_equal(decode(HARMLESS[name], max_pixels=ENOUGH), GREY)


def test_only_chunks_that_pixels_need_reach_the_decoder() -> None:
    kinds = re.compile(rb"IHDR|PLTE|IDAT|IEND|tEXt|zTXt|iCCP|iTXt")
    for name in ("texts", "a bomb of text", "a bomb of a colour profile", "a bomb of metadata"):
        written = b"".join(walk(HARMLESS[name], max_pixels=ENOUGH).parts)
        assert kinds.findall(written) == [b"IHDR", b"IDAT", b"IEND"], name


DAMAGED = {
    "a chunk that claims 3.8 GB": (PLAIN[:33] + chunk(b"IDAT", b"", 0xE7E7E783), "ends behind its data"),
    "more chunks than allowed": (png(20, 10, b"", before=chunk(b"tEXt") * MAX_CHUNKS), "chunks"),
    "no header": (PLAIN[:8] + PLAIN[33:], "IHDR"),
    "two headers": (PLAIN[:33] + PLAIN[8:], "IHDR"),
    "a short header": (PLAIN[:8] + chunk(b"IHDR", bytes(12)), "header"),
    "an unknown critical chunk": (png(20, 10, rows(20, 10), before=chunk(b"ABCD")), "critical"),
    "a wrong checksum": (PLAIN[:50] + bytes([PLAIN[50] ^ 1]) + PLAIN[51:], "checksum"),
    "no end": (PLAIN[:-12], "no IEND"),
    "half an end": (PLAIN[:-5], "ends behind its data"),
    "no pixels": (PLAIN[:33] + chunk(b"IEND"), "no pixels"),
    "colours of a palette without one": (png(20, 10, rows(20, 10), colour=3), "no pixels"),
    "a huge palette": (png(20, 10, rows(20, 10), colour=3, before=chunk(b"PLTE", bytes(3 * 257))), "palette"),
    "5 bits a sample": (png(20, 10, rows(20, 10), depth=5), "header"),
    "a colour type that does not exist": (png(20, 10, rows(20, 10), colour=5), "header"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_or_unsupported_png_is_refused_with_its_problem(name: str) -> None:
    data, problem = DAMAGED[name]
    with pytest.raises(InvalidPicture, match=re.escape(problem)):
        read_header(data, max_pixels=ENOUGH)


def test_a_picture_of_one_column_has_a_limit_as_well() -> None:
    with pytest.raises(PictureTooLarge, match="a side is over the limit"):
        read_header(png(1, 50_000_000, b""), max_pixels=50_000_000)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_missing_rows_are_never_taken_for_black_ones(mode: str, interlaced: bool) -> None:
    """Pillow decodes such a picture without a word."""
    picture = Image.fromarray(pixels()[..., 0].astype(np.uint16) * 200) if mode == "I;16" else Image.fromarray(pixels())
    picture = picture.quantize(200) if mode == "P" else picture if mode == "I;16" else picture.convert(mode)
    data = encode("PNG", picture)
    start, end = data.index(b"IDAT") - 4, data.rindex(b"IEND") - 4
    inflated = zlib.decompress(data[start + 8 : end - 4])
    head = data[:8] + chunk(b"IHDR", data[16:28] + bytes([interlaced])) + data[33:start]
    if not interlaced:
        whole = head + chunk(b"IDAT", zlib.compress(inflated)) + data[end:]
        assert decode(whole, max_pixels=ENOUGH).shape == (48, 64, 3)
    cut = head + chunk(b"IDAT", zlib.compress(inflated[: len(inflated) // 2])) + data[end:]
    with pytest.raises(InvalidPicture, match="truncated or damaged"):
        decode(cut, max_pixels=ENOUGH)


def test_a_last_row_that_looks_like_the_pattern_of_missing_rows_is_right() -> None:
    picture = np.full((10, 20, 3), ord("Z"), np.uint8)
    assert np.array_equal(decode(encode("PNG", picture), max_pixels=ENOUGH), picture)


def test_the_first_frame_of_an_animation_is_taken_even_if_the_still_picture_is_another() -> None:
    still, first = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (20, 10), "blue")
    second = Image.new("RGB", (20, 10), "green")
    options = {"save_all": True, "append_images": [first, second]}
    without = decode(encode("PNG", still, **options), max_pixels=ENOUGH)
    assert without[0, 0].tolist() == [0, 0, 255]
    default = decode(encode("PNG", still, default_image=True, **options), max_pixels=ENOUGH)
    assert default[0, 0].tolist() == [255, 0, 0]


def test_a_frame_outside_of_its_canvas_is_refused() -> None:
    control = chunk(b"fcTL", b"".join(value.to_bytes(4, "big") for value in (0, 20, 10, 1, 0)) + bytes(6))
    moving = control + chunk(b"fdAT", bytes(4) + rows(20, 10))
    with pytest.raises(InvalidPicture, match="canvas"):
        read_header(png(20, 10, rows(20, 10), behind=moving), max_pixels=ENOUGH)
