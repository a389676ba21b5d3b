"""The size of an encoded picture, from its first bytes only: cheap enough to ask before anything else is done."""

from __future__ import annotations

import re
from typing import Literal

from facet.runtime.pictures.containers.jxl_header import CODESTREAM, CONTAINER, HEADER_BYTES, header_of
from facet.runtime.pictures.errors import InvalidPicture

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAX_SEGMENTS = 64
_MAX_ENTRIES = 64
_SHORT = 3
_HEIF_BYTES = 2**16
_MAX_SIZES = 64
_JXL_BYTES = 2**16
_JXL_BOX = re.compile(rb"jxl(?:c|p.{4})(?=\xff\x0a)", re.DOTALL)
"""Where a codestream begins in a container, whole or its first piece."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PIXELS_PER_BYTE = 6
"""Of an ordinary JPEG: for those that do not tell their size early enough."""


def claimed_pixels(data: bytes) -> int:
    """How many pixels the header claims; 0 if the data is in no known format, or too short.

    The picture may still be damaged. Looks at no more than a few dozen places, whatever the data is, because it runs on
    the event loop before a request is admitted. Only for estimates: :func:`facet.runtime.pictures.read_header` checks
    the whole picture, which takes longer.
    """
    if data.startswith(_PNG_SIGNATURE):
        return int.from_bytes(data[16:20]) * int.from_bytes(data[20:24])
    if data.startswith(b"\xff\xd8"):
        return _jpeg_pixels(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_pixels(data)
    if data.startswith(b"BM"):
        width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
        return abs(width * height)  # the height of a picture stored from the top is negative
    if data.startswith((b"GIF87a", b"GIF89a")):
        return int.from_bytes(data[6:8], "little") * int.from_bytes(data[8:10], "little")
    if data[:4] in _TIFF_SIGNATURES:
        return _tiff_pixels(data)
    if data[4:8] == b"ftyp":
        return _heif_pixels(data)
    if data.startswith((CODESTREAM, CONTAINER)):
        return _jxl_pixels(data)
    return 0


def _jpeg_pixels(data: bytes) -> int:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        marker, length = data[at + 1 : at + 2], int.from_bytes(data[at + 2 : at + 4])
        if data[at : at + 1] != b"\xff" or not marker:
            break
        if marker[0] in _JPEG_FRAMES:
            return int.from_bytes(data[at + 5 : at + 7]) * int.from_bytes(data[at + 7 : at + 9])
        at += 1 if marker == b"\xff" else 2 + length  # a marker may follow fill bytes
    return len(data) * _PIXELS_PER_BYTE


def _webp_pixels(data: bytes) -> int:
    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    match data[12:16]:
        case b"VP8 ":
            return (number(26, 2) & 0x3FFF) * (number(28, 2) & 0x3FFF)
        case b"VP8L":
            bits = number(21, 4)
            return ((bits & 0x3FFF) + 1) * (((bits >> 14) & 0x3FFF) + 1)
        case b"VP8X":
            return (number(24, 3) + 1) * (number(27, 3) + 1)
    return 0


def _tiff_pixels(data: bytes) -> int:
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = b"+" in data[2:4]
    word, entry_bytes = (8, 20) if big else (4, 12)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    start = number(8 if big else 4, word)
    first = start + (8 if big else 2)
    sides = {256: 0, 257: 0}
    for at in range(first, first + entry_bytes * min(number(start, first - start), _MAX_ENTRIES), entry_bytes):
        if (tag := number(at, 2)) in sides:
            sides[tag] = number(at + 4 + word, 2 if number(at + 2, 2) == _SHORT else 4)
    return sides[256] * sides[257]


def _heif_pixels(data: bytes) -> int:
    """The largest of the sizes at the beginning: that of the whole picture beside those of its tiles and thumbnails."""
    at = largest = 0
    for _ in range(_MAX_SIZES):
        at = data.find(b"ispe", at + 1, _HEIF_BYTES)
        if at < 0:
            break
        largest = max(largest, int.from_bytes(data[at + 8 : at + 12]) * int.from_bytes(data[at + 12 : at + 16]))
    return largest


def _jxl_pixels(data: bytes) -> int:
    box = None if data.startswith(CODESTREAM) else _JXL_BOX.search(data, 0, _JXL_BYTES)
    start = box.end() if box else 0
    try:
        header = header_of(data[start : start + HEADER_BYTES])
    except InvalidPicture:
        return 0
    return header.width * header.height
