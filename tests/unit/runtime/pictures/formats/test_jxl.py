"""The header of JPEG XL, and what its decoder gets."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facet.runtime.picture_size import claimed_pixels
from facet.runtime.pictures import InvalidPicture, PictureTooLarge, decode, read_header
from facet.runtime.pictures.containers.boxes import box
from facet.runtime.pictures.containers.jxl_header import CODESTREAM, CONTAINER, JxlHeader, header_of
from facet.runtime.pictures.decoding import walk
from facet.runtime.pictures.formats.jxl import MAX_EXTRA_CHANNELS
from tests.unit.runtime.pictures.formats.samples import JXL_WIDE, jxl_header, jxl_sides
from tests.unit.runtime.pictures.samples import ENOUGH, pixels
from tests.unit.runtime.pictures.samples import encode as jpeg_of

PICTURE = pixels()
RGB = np.ascontiguousarray(PICTURE[..., ::-1])
needs_imagecodecs = pytest.mark.skipif(
    importlib.util.find_spec("imagecodecs") is None, reason="needs imagecodecs, of the extra jxl"
)


def encode(samples: NDArray[Any], **options: Any) -> bytes:
    """The samples as libjxl encodes them."""
    return bytes(importlib.import_module("imagecodecs").jpegxl_encode(samples, **options))


SMALL = ((1, 1), (5, 5), (2, 3))
"""48 pixels high, and 12/10 as wide."""
REST = ((0, 1), (0, 2), (0, 1), (0, 2))
"""Integers of 8 bits, and no further channels."""
HEADERS = {
    "a side of a few bits": (jxl_header((0, 1), (0, 2), (47, 9), (0, 3), (0, 2), (63, 9), (1, 1)), JxlHeader(64, 48)),
    "sides of 30 bits": (jxl_header(*JXL_WIDE, (1, 1)), JxlHeader(2**20, 2**20)),
    "sides in eighths": (jxl_header((1, 1), (5, 5), (0, 3), (7, 5), (1, 1)), JxlHeader(64, 48)),
    "an aspect ratio": (jxl_header((1, 1), (5, 5), (7, 3), (1, 1)), JxlHeader(96, 48)),
    "an aspect ratio that is rounded down": (jxl_header((0, 1), (0, 2), (9, 9), (5, 3), (1, 1)), JxlHeader(17, 10)),
    "no further fields": (jxl_header(*SMALL, (0, 1), (0, 1), *REST), JxlHeader(57, 48)),
    "an orientation": (jxl_header(*SMALL, (0, 1), (1, 1), (5, 3), (0, 3), *REST), JxlHeader(57, 48, 6)),
    "a size to be shown at, a preview and an animation": (
        jxl_header(
            *(*SMALL, (0, 1), (1, 1), (2, 3), (1, 1), *JXL_WIDE),
            *((1, 1), (0, 1), (1, 2), (3, 8), (0, 3), (0, 2), (1, 6)),
            *((1, 1), (2, 2), (9, 10), (2, 2), (9, 8), (1, 2), (7, 3), (1, 1)),
            *REST,
        ),
        JxlHeader(57, 48, 3),
    ),
    "10 bits and alpha": (
        jxl_header(*SMALL, (0, 1), (0, 1), (0, 1), (1, 2), (0, 1), (1, 2)),
        JxlHeader(57, 48, bits=10, extra_channels=1),
    ),
    "floating-point numbers of 16 bits": (
        jxl_header(*SMALL, (0, 1), (0, 1), (1, 1), (1, 2), (4, 4), (0, 1), (0, 2)),
        JxlHeader(57, 48, bits=16, is_float=True),
    ),
    "many channels": (
        jxl_header(*SMALL, (0, 1), (0, 1), (0, 1), (0, 2), (0, 1), (3, 2), (4095, 12)),
        JxlHeader(57, 48, extra_channels=4096),
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_are_read_as_the_standard_says(name: str) -> None:
    data, expected = HEADERS[name]
    assert header_of(data) == expected
    assert claimed_pixels(data) == expected.width * expected.height


@pytest.mark.parametrize("end", range(2, 9))
def test_a_header_that_is_cut_off_is_refused(end: int) -> None:
    with pytest.raises(InvalidPicture, match="the JXL is truncated or damaged"):
        read_header(jxl_header(*JXL_WIDE)[:end], max_pixels=ENOUGH)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(PictureTooLarge, match="1048576x1048576"):
        read_header(jxl_header(*JXL_WIDE, (1, 1)), max_pixels=50_000_000)


def in_boxes(*boxes: bytes) -> bytes:
    return CONTAINER + box(b"ftyp", b"jxl \0\0\0\0jxl ") + b"".join(boxes)


BROKEN = {
    "a box behind the end": in_boxes(box(b"jxlc", jxl_header(*SMALL, (1, 1))))[:-9],
    "no codestream": in_boxes(box(b"Exif", bytes(20))),
    "a box that holds no codestream": in_boxes(box(b"jxlc", b"\xff\x0b", jxl_header(*SMALL, (1, 1))[2:])),
    "pieces that are no codestream": in_boxes(box(b"jxlp", b"\x80\0\0\0", jxl_header(*SMALL, (1, 1))[1:])),
    "a last piece that is missing": in_boxes(box(b"jxlp", bytes(4), jxl_header(*SMALL, (1, 1)))),
    "a codestream without bytes": in_boxes(box(b"jxlc")),
    "only a signature": CODESTREAM,
    "only a container": CONTAINER,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_container_is_refused(name: str) -> None:
    with pytest.raises(InvalidPicture, match="the JXL is truncated or damaged"):
        read_header(BROKEN[name], max_pixels=ENOUGH)


@needs_imagecodecs
@pytest.mark.parametrize(
    ("name", "reason"), [("floating-point numbers of 16 bits", "floating-point"), ("many channels", "4096 channels")]
)
def test_unsupported_samples_are_refused(name: str, reason: str) -> None:
    with pytest.raises(InvalidPicture, match=reason):
        read_header(HEADERS[name][0], max_pixels=ENOUGH)


def variants() -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    grey = np.ascontiguousarray(RGB[..., 0])
    shown = np.repeat(grey[..., None], 3, 2)
    alpha = np.full((*grey.shape, 1), 60, np.uint8)
    yield "colours", RGB, PICTURE
    yield "grey", grey, shown
    yield "grey with alpha", np.dstack([grey, alpha]), shown
    yield "colours with alpha", np.dstack([RGB, alpha]), PICTURE
    yield "16 bits", RGB.astype(np.uint16) * 257, PICTURE
    yield "grey of 16 bits", grey.astype(np.uint16) * 257, shown


@needs_imagecodecs
@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("number", range(6))
def test_every_kind_of_samples_is_decoded(number: int, container: bool) -> None:
    _, samples, expected = list(variants())[number]
    data = encode(samples, lossless=True, usecontainer=container)
    assert data.startswith(CONTAINER if container or samples.dtype == np.uint16 else CODESTREAM)
    assert np.array_equal(decode(data, max_pixels=ENOUGH), expected)
    assert claimed_pixels(data) == 64 * 48


@needs_imagecodecs
@pytest.mark.parametrize("bits", [10, 12])
def test_samples_of_10_and_12_bits_become_8_bits(bits: int) -> None:
    deep = (RGB.astype(np.uint16) * 257) >> 16 - bits
    data = encode(deep, lossless=True, bitspersample=bits)
    assert header_of(data).bits == bits
    assert np.array_equal(decode(data, max_pixels=ENOUGH), PICTURE)


@needs_imagecodecs
@pytest.mark.parametrize("bits", range(1, 8))
def test_samples_of_a_few_bits_become_8_bits_from_black_to_white(bits: int) -> None:
    levels = np.resize(np.arange(1 << bits, dtype=np.uint8), (16, 16))
    data = encode(levels, lossless=True, bitspersample=bits)
    assert header_of(data).bits == bits
    shown = decode(data, max_pixels=ENOUGH)[..., 0]
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.abs(shown - levels * (255 / ((1 << bits) - 1))).max() <= 0.5


@needs_imagecodecs
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_a_few_pixels_are_not_taken_for_planes(channels: int) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (channels, channels, channels), np.uint8)
    assert np.array_equal(decode(encode(samples, lossless=True), max_pixels=ENOUGH), samples[..., 2::-1])


@needs_imagecodecs
@pytest.mark.parametrize("planes", [2, 3])
def test_of_grey_with_further_planes_the_grey_is_shown(planes: int) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (planes, 7, 6), np.uint8)
    data = encode(samples, lossless=True, planar=True, photometric="gray")
    assert np.array_equal(decode(data, max_pixels=ENOUGH), np.repeat(samples[0][..., None], 3, 2))


@needs_imagecodecs
def test_pieces_are_put_together_and_other_boxes_never_reach_the_decoder() -> None:
    whole = encode(RGB, lossless=True)
    pieces = [box(b"jxlp", bytes(4), whole[:3]), box(b"jxlp", b"\x80\0\0\1", whole[3:])]
    data = in_boxes(box(b"Exif", bytes(9000)), pieces[0], box(b"xml ", bytes(9000)), pieces[1], box(b"jbrd", b"x"))
    assert b"".join(walk(data, max_pixels=ENOUGH).parts) == whole
    assert np.array_equal(decode(data, max_pixels=ENOUGH), PICTURE)


@needs_imagecodecs
def test_the_first_frame_of_many_is_decoded_alone() -> None:
    frames = np.stack([RGB, *(np.zeros_like(RGB) for _ in range(50))])
    assert np.array_equal(decode(encode(frames, lossless=True), max_pixels=ENOUGH), PICTURE)


@needs_imagecodecs
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_in_a_jxl_is_turned_as_the_jpeg_was(orientation: int) -> None:
    """libjxl moves the orientation of EXIF into the codestream; the EXIF that it keeps does not turn it once more."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    jpeg = jpeg_of("JPEG", PICTURE, quality=95, exif=exif)
    data = bytes(importlib.import_module("imagecodecs").jpegxl_encode_jpeg(jpeg, usecontainer=True))
    assert b"Exif" in data
    assert read_header(data, max_pixels=ENOUGH).orientation == orientation
    difference = decode(data, max_pixels=ENOUGH).astype(int) - decode(jpeg, max_pixels=ENOUGH)
    assert np.abs(difference).mean() < 2


@needs_imagecodecs
@pytest.mark.parametrize("lossless", [False, True])
def test_a_picture_that_is_cut_anywhere_is_refused(lossless: bool) -> None:
    data = encode(RGB, lossless=lossless)
    for end in range(2, len(data) - 1, max(1, len(data) // 60)):
        with pytest.raises(InvalidPicture, match="the JXL is truncated or damaged"):
            decode(data[:end], max_pixels=ENOUGH)


def claimed(width: int, height: int, extra_channels: int = 0) -> bytes:
    """A header, and nothing behind it."""
    channels = ((2, 2), (extra_channels - 2, 4)) if extra_channels else ((0, 2),)
    return jxl_header(*jxl_sides(width, height), (0, 1), (0, 1), *REST[:-1], *channels)


@needs_imagecodecs
def test_a_picture_that_needs_too_much_memory_is_refused() -> None:
    with pytest.raises(PictureTooLarge, match="needs too much memory"):
        read_header(claimed(8000, 4000, MAX_EXTRA_CHANNELS), max_pixels=50_000_000)
    whether_lossless = claimed(8000, 6000)  # which the header does not tell
    assert read_header(whether_lossless, max_pixels=50_000_000).width == 8000
    with pytest.raises(PictureTooLarge, match="or it is damaged"):
        decode(whether_lossless + b"\xff" * 1000, max_pixels=50_000_000)
    with pytest.raises(InvalidPicture, match="truncated or damaged"):
        decode(jxl_header(*jxl_sides(8000, 6000), (1, 1), (1, 1))[:12], max_pixels=50_000_000)
