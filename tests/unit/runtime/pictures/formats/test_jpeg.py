"""The walk over the markers of a JPEG."""

from __future__ import annotations

import base64
import io
import re
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from facet.runtime.pictures import InvalidPicture, PictureTooLarge, PictureTooSlow, decode, read_header
from facet.runtime.pictures.decoding import walk
from facet.runtime.pictures.formats.jpeg import MAX_SCANS, MAX_SEGMENTS
from tests.unit.runtime.pictures.samples import ENOUGH, behind_soi, encode, pixels, segment

JPEG = encode("JPEG")
PROGRESSIVE = encode("JPEG", progressive=True)
FRAME = JPEG.index(b"\xff\xc0")
SCAN = JPEG.index(b"\xff\xda")
PLAIN = decode(JPEG, max_pixels=ENOUGH)


def header(
    code: int, width: int, height: int, *, precision: int = 8, components: int = 3, sampling: int = 0x11
) -> bytes:
    parts = b"".join(bytes((number + 1, sampling, 0)) for number in range(components))
    return segment(code, struct.pack(">BHHB", precision, height, width, components) + parts)


def with_header(frame: bytes) -> bytes:
    return JPEG[:FRAME] + frame + JPEG[FRAME + 19 :]


HARMLESS = {
    "fill bytes": behind_soi(JPEG, b"\xff" * 100_000),
    "bytes between segments": JPEG[:FRAME] + bytes(1000) + b"\xff\0" * 500 + JPEG[FRAME:],
    "a film behind the picture": JPEG + b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\0" * 100,
    "a film of Samsung": JPEG
    + b"MotionPhoto_Data\0\0\0\x18ftypmp42"
    + b"\xff\xd8\xff\xda" * 40
    + b"SEFH\x6b\0\0\0SEFT",
    "a second picture": JPEG + JPEG,
    "comments": behind_soi(JPEG, segment(0xFE, bytes(60_000)) * 50),
    "a colour profile in pieces": behind_soi(JPEG, segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000)) * 50),
    "two JFIF headers and a preview": behind_soi(JPEG, segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\xff\xff" + bytes(60_000))),
    "a number of lines": JPEG[:-2] + segment(0xDC, b"\0\1") + JPEG[-2:],
    "another scan behind the only one": JPEG[:-2] + JPEG[SCAN:],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_pixels_do_not_need_changes_nothing_and_never_reaches_the_decoder(name: str) -> None:
    assert np.array_equal(decode(HARMLESS[name], max_pixels=ENOUGH), PLAIN)
    assert sum(map(len, walk(HARMLESS[name], max_pixels=ENOUGH).parts)) <= len(JPEG) + 2


DAMAGED = {
    "more segments than allowed": (behind_soi(JPEG, segment(0xE1) * MAX_SEGMENTS), "segments"),
    "a flood of tables": (behind_soi(JPEG, segment(0xC4) * MAX_SEGMENTS), "segments"),
    "a flood of restart intervals": (behind_soi(JPEG, segment(0xDD, b"\0\1") * MAX_SEGMENTS), "segments"),
    "a segment that ends behind the data": (JPEG[:SCAN] + b"\xff\xe1\xff\xff", "ends behind its data"),
    "a segment shorter than its length": (behind_soi(JPEG, b"\xff\xe1\0\1"), "ends behind its data"),
    "two frame headers": (JPEG[:FRAME] + JPEG[FRAME : FRAME + 19] + JPEG[FRAME:], "two frame headers"),
    "a scan before the frame header": (JPEG[:FRAME] + JPEG[SCAN:], "before its frame header"),
    "a second start of image": (behind_soi(JPEG, b"\xff\xd8"), "unsupported marker"),
    "lossless": (with_header(header(0xC3, 64, 48)), "unsupported marker"),
    "hierarchical": (with_header(header(0xDE, 64, 48)), "unsupported marker"),
    "12 bits": (with_header(header(0xC1, 64, 48, precision=12)), "12 bits"),
    "two components": (with_header(header(0xC0, 64, 48, components=2)), "2 components"),
    "no components": (with_header(header(0xC0, 64, 48, components=0)), "0 components"),
    "a height that follows later": (with_header(header(0xC0, 64, 0)), "no pixels"),
    "sampling by 15": (with_header(header(0xC0, 64, 48, sampling=0xFF)), "sampling"),
    "sampling by 0": (with_header(header(0xC0, 64, 48, sampling=0)), "sampling"),
    "no scan": (JPEG[:SCAN] + b"\xff\xd9", "truncated or damaged"),
    "no end of several scans": (PROGRESSIVE[:-2], "truncated or damaged"),
    "a scan of unknown components": (JPEG.replace(b"\xff\xda\0\x0c\3\1", b"\xff\xda\0\x0c\3\7"), "unknown component"),
    "a scan of no components": (JPEG.replace(b"\xff\xda\0\x0c\3", b"\xff\xda\0\x0c\0"), "start of scan"),
    "only a signature": (b"\xff\xd8\xff", "truncated or damaged"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_or_unsupported_jpeg_is_refused_with_its_problem(name: str) -> None:
    data, problem = DAMAGED[name]
    with pytest.raises(InvalidPicture, match=re.escape(problem)):
        read_header(data, max_pixels=ENOUGH)


def test_a_scan_without_an_end_is_refused_unless_the_decoder_finds_all_of_it() -> None:
    for data in (JPEG[:-2], JPEG[: SCAN + 200], JPEG[:-1]):
        with pytest.raises(InvalidPicture, match="truncated or damaged"):
            decode(data, max_pixels=ENOUGH)
    assert np.array_equal(decode(JPEG[:-2] + bytes(100), max_pixels=ENOUGH), PLAIN)


def test_a_claimed_size_is_refused_without_data_for_it() -> None:
    with pytest.raises(PictureTooLarge, match="65500x65500"):
        read_header(with_header(header(0xC0, 65500, 65500)), max_pixels=50_000_000)


def test_scans_are_counted_where_the_decoder_finds_them() -> None:
    """Codes of scans inside previews, comments and films are none."""
    preview = segment(0xE1, b"Exif\0\0" + b"\xff\xda" * 1000)
    assert decode(behind_soi(PROGRESSIVE, preview), max_pixels=ENOUGH).shape == (48, 64, 3)
    last = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]
    with pytest.raises(InvalidPicture, match=f"more than {MAX_SCANS} scans"):
        read_header(PROGRESSIVE[:-2] + last * MAX_SCANS + PROGRESSIVE[-2:], max_pixels=ENOUGH)


def scans_over(width: int, height: int, code: int, components: int, scans: int) -> bytes:
    """A JPEG of a few bytes whose scans would visit every block of a large picture."""
    listed = b"".join(bytes((number + 1, 0)) for number in range(components))
    scan = segment(0xDA, bytes([components]) + listed + b"\0\0\0") + b"\0"
    return b"\xff\xd8" + header(code, width, height, components=components) + scan * scans + b"\xff\xd9"


def test_scans_times_pixels_are_bounded() -> None:
    limit = 50_000_000
    read_header(scans_over(7000, 7000, 0xC2, 3, 8), max_pixels=limit)
    read_header(scans_over(1000, 1000, 0xC2, 3, MAX_SCANS), max_pixels=limit)
    with pytest.raises(PictureTooSlow, match="takes too long to decode"):
        read_header(scans_over(7000, 7000, 0xC2, 3, 12), max_pixels=limit)


def test_coefficients_in_memory_are_bounded_by_the_permitted_pixels() -> None:
    read_header(scans_over(7000, 7000, 0xC2, 3, 1), max_pixels=7000 * 7000)
    read_header(scans_over(7000, 7000, 0xC0, 4, 1), max_pixels=7000 * 7000)  # row by row
    with pytest.raises(PictureTooLarge, match="too much memory"):
        read_header(scans_over(7000, 7000, 0xC2, 4, 1), max_pixels=7000 * 7000)


def test_a_reduced_size_saves_no_coefficients() -> None:
    limit = 50_000_000
    assert walk(scans_over(10_000, 7000, 0xC2, 3, 1), max_pixels=limit, longer_side=1000).scale == 8
    assert walk(scans_over(16_000, 12_000, 0xC0, 3, 1), max_pixels=limit, longer_side=1000).scale == 8  # row by row
    with pytest.raises(PictureTooLarge, match="progressive"):
        walk(scans_over(16_000, 12_000, 0xC2, 3, 1), max_pixels=limit, longer_side=1000)


ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0o"
    "MCUoKSj/yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8A/wC4ZHrUz8saipuLtK0lwFNpg8D5NP/Z"
)
"""16x16 pixels from jpegtran: the sample in a row and a column is eight times the sum of their numbers."""


def test_a_picture_with_arithmetic_coding_is_decoded() -> None:
    expected = 8 * np.add.outer(np.arange(16), np.arange(16))
    assert np.abs(decode(ARITHMETIC, max_pixels=ENOUGH)[..., 0] - expected).max() <= 2


def test_arithmetic_decoding_counts_for_more() -> None:
    limit = 50_000_000
    read_header(scans_over(7000, 7000, 0xC9, 3, 1), max_pixels=limit)
    with pytest.raises(PictureTooSlow, match="takes too long"):
        read_header(scans_over(7000, 7000, 0xCA, 3, 3), max_pixels=limit)


CMYK = encode("JPEG", Image.fromarray(pixels()[..., ::-1].copy()).convert("CMYK"), quality=95)
ADOBE = CMYK.index(b"Adobe")
INKS = {
    "inverted, as Adobe's programs write them": CMYK,
    "YCCK": CMYK[: ADOBE + 11] + b"\2" + CMYK[ADOBE + 12 :],
    "without the segment of Adobe": CMYK[: ADOBE - 4] + CMYK[ADOBE + 12 :],
}


@pytest.mark.parametrize("name", INKS)
def test_inks_become_colours_as_in_pillow(name: str) -> None:
    expected = np.asarray(Image.open(io.BytesIO(INKS[name])).convert("RGB"))[..., ::-1]
    assert np.abs(decode(INKS[name], max_pixels=ENOUGH).astype(int) - expected).max() <= 1


def test_restart_markers_and_damage_within_a_scan_are_left_to_the_decoder() -> None:
    restarts = cv2.imencode(".jpg", pixels(), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
    assert restarts.count(b"\xff\xd0") >= 1
    assert np.abs(decode(restarts, max_pixels=ENOUGH).astype(int) - pixels()).mean() < 10
    assert decode(JPEG[: SCAN + 100] + b"\xff\5" + JPEG[SCAN + 100 :], max_pixels=ENOUGH).shape == (48, 64, 3)
