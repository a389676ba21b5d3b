"""The walk over the first directory of a TIFF."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from facet.runtime.pictures.containers.tiff_directory import MAX_ENTRIES
from facet.runtime.pictures.decoding import walk
from tests.unit.runtime.pictures.formats.samples import (
    LONG,
    SHORT,
    TIFF_HEIGHT,
    TIFF_PIXELS,
    TIFF_WIDTH,
    Entries,
    tiff,
)
from tests.unit.runtime.pictures.samples import ENOUGH, encode, pixels


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_directory_that_links_to_itself_is_read_once(order: str) -> None:
    plain = tiff(order=order)
    directory = struct.unpack_from(f"{order}I", plain, 4)[0]
    assert np.array_equal(decode(tiff(order=order, behind=directory), max_pixels=ENOUGH), pixels())


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"])
@pytest.mark.parametrize("big", [False, True])
def test_the_first_page_is_decoded_whatever_its_compression(compression: str | None, big: bool) -> None:
    data = encode(
        "TIFF", compression=compression, big_tiff=big, save_all=True, append_images=[Image.new("RGB", (9, 9))]
    )
    assert np.array_equal(decode(data, max_pixels=ENOUGH), pixels())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_kind_of_colours_is_decoded_as_pillow_does(mode: str) -> None:
    image = Image.fromarray(TIFF_PIXELS)
    image = (
        image.quantize(200)
        if mode == "P"
        else image.convert("L").convert(mode)
        if mode == "LA"
        else image.convert(mode)
    )
    decoded = decode(encode("TIFF", image), max_pixels=ENOUGH)
    if mode == "LAB":  # Pillow rounds it differently on the way back
        assert np.abs(decoded.astype(int) - pixels()).mean() < 3
        return
    expected = np.asarray(image.convert("RGB"))[..., ::-1]
    assert np.abs(decoded.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_faxes_are_decoded(compression: str) -> None:
    image = Image.fromarray(TIFF_PIXELS).convert("1")
    expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(decode(encode("TIFF", image, compression=compression), max_pixels=ENOUGH), expected)


@pytest.mark.parametrize("compressed", [False, True])
def test_tiles_and_separate_planes_are_put_together(compressed: bool) -> None:
    tiles = []
    for plane in range(3):
        for y in range(0, TIFF_HEIGHT, 16):
            for x in range(0, TIFF_WIDTH, 32):
                tile = TIFF_PIXELS[y : y + 16, x : x + 32, plane].tobytes()
                tiles.append(zlib.compress(tile) if compressed else tile)
    starts = [8 + sum(map(len, tiles[:number])) for number in range(len(tiles))]
    entries: Entries = {
        259: (SHORT, (8 if compressed else 1,)),
        284: (SHORT, (2,)),
        322: (SHORT, (32,)),
        323: (SHORT, (16,)),
        324: (LONG, tuple(starts)),
        325: (LONG, tuple(map(len, tiles))),
    }
    assert np.array_equal(decode(tiff(entries, b"".join(tiles)), max_pixels=ENOUGH), pixels())


def test_an_inflated_bomb_stops_at_the_last_row() -> None:
    bomb = zlib.compress(bytes(2**26), 9)
    assert not decode(tiff({259: (SHORT, (8,))}, bomb), max_pixels=ENOUGH).any()


DAMAGED = {
    "a directory behind the end": (b"II*\0" + struct.pack("<I", 10**6), "truncated"),
    "a directory at a huge offset": (b"II+\0\x08\0\0\0" + b"\xff" * 8, "truncated"),
    "more entries than allowed": (b"II*\0\x08\0\0\0" + struct.pack("<H", MAX_ENTRIES + 1) + bytes(99), "entries"),
    "a value behind the end": (tiff({273: (LONG, (8, 8, 8))})[:-12], "truncated"),
    "a strip behind the end": (tiff({279: (LONG, (10**6,))}), "ends behind its data"),
    "a strip at the largest offset": (tiff({273: (LONG, (2**32 - 1,))}), "ends behind its data"),
    "fewer strips than rows need": (tiff({278: (SHORT, (1,))}), "lacks strips"),
    "strips of no rows": (tiff({278: (SHORT, (0,))}), "damaged"),
    "tiles of no pixels": (tiff({322: (SHORT, (0,)), 323: (SHORT, (16,)), 324: (LONG, (8,))}), "no pixels"),
    "a strip that is too short": (tiff({279: (LONG, (100,))}), "damaged"),
    "floating-point samples": (tiff({258: (SHORT, (32,) * 3), 339: (SHORT, (3,) * 3)}), "floating-point"),
    "samples of 32 bits": (tiff({258: (SHORT, (32,) * 3)}), "32"),
    "colours of 4 bits": (tiff({258: (SHORT, (4, 4, 4))}), "with several, 8 or 16"),
    "samples of different bits": (tiff({258: (SHORT, (5, 6, 5))}), "all the same"),
    "an unknown compression": (tiff({259: (SHORT, (34712,))}), "compression, 34712"),
    "unknown colours": (tiff({262: (SHORT, (32803,))}), "kind of colours, 32803"),
    "a palette that is missing": (tiff({262: (SHORT, (3,))}), "kind of colours"),
    "too many samples": (tiff({277: (SHORT, (60000,))}), "samples a pixel"),
    "a preview of a raw file": (tiff({254: (LONG, (1,))}), "preview"),
    "damaged compressed data": (tiff({259: (SHORT, (8,))}), "damaged"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_or_unsupported_tiff_is_refused(name: str) -> None:
    data, reason = DAMAGED[name]
    with pytest.raises(InvalidPicture, match=reason):
        decode(data, max_pixels=ENOUGH)


def test_strips_that_share_their_data_are_not_multiplied() -> None:
    rows = 40_000
    shared: Entries = {
        257: (LONG, (rows,)),
        278: (SHORT, (1,)),
        273: (LONG, (8,) * rows),
        279: (LONG, (TIFF_PIXELS.size,) * rows),
    }
    with pytest.raises(InvalidPicture, match="ends behind its data"):
        walk(tiff(shared), max_pixels=10**8)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(PictureTooLarge, match="100000x100000"):
        read_header(tiff({256: (LONG, (10**5,)), 257: (LONG, (10**5,))}), max_pixels=ENOUGH)
    with pytest.raises(PictureTooLarge, match="60000x60000"):
        read_header(
            tiff({322: (SHORT, (60000,)), 323: (SHORT, (60000,)), 324: (LONG, (8,)), 325: (LONG, (9,))}),
            max_pixels=ENOUGH,
        )


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "zstd"])
def test_a_tiff_that_is_cut_anywhere_is_refused(compression: str | None) -> None:
    data = encode("TIFF", compression=compression)
    for end in range(8, len(data) - 400, max(1, len(data) // 40)):
        with pytest.raises(InvalidPicture):
            decode(data[:end], max_pixels=ENOUGH)
