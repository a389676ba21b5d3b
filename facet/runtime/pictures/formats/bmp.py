"""Checks the header of a BMP (BITMAPFILEHEADER, and BITMAPCOREHEADER or BITMAPINFOHEADER and its successors)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.header import Layout, PictureHeader, check_size
from facet.runtime.pictures.opencv import imdecode

_FILE_HEADER = 14
_CORE_HEADER = 12
_INFO_HEADERS = (40, 52, 56, 64, 108, 124)
_DEPTHS = (1, 4, 8, 15, 16, 24, 32)
_RUN_LENGTH = {1: 4, 2: 8}
"""Compressions as runs, and the pixels that a row is padded to a multiple of: 4 bytes."""


def matches(data: bytes) -> bool:
    """Whether the data begins like a BMP.

    Two letters are a weak signature: a BMP also has four reserved bytes, usually zero, or a header of a known size.
    """
    if data[:2] != b"BM":
        return False
    return data[6:10] == bytes(4) or int.from_bytes(data[14:18], "little") in (_CORE_HEADER, *_INFO_HEADERS)


def walk(data: bytes, max_pixels: int) -> Layout:
    """Check a BMP. Decoding takes time and memory in proportion to the data and the pixels.

    ImageMagick writes runs that reach into the padding of a row, and OpenCV puts an empty row behind each of these.
    Runs are therefore decoded as those of a picture that includes the padding.

    Raises:
        InvalidPicture: the header is damaged, or there are fewer bytes than the pixels need.
        PictureTooLarge: it has more than ``max_pixels``.
    """
    if len(data) < _FILE_HEADER + _CORE_HEADER:
        raise InvalidPicture("the BMP is truncated or damaged")
    start, size = int.from_bytes(data[10:14], "little"), int.from_bytes(data[14:18], "little")
    compression = 0
    if size == _CORE_HEADER:
        width, height = int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little")
        depth = int.from_bytes(data[24:26], "little")
    elif size in _INFO_HEADERS and len(data) >= _FILE_HEADER + size:
        width = int.from_bytes(data[18:22], "little", signed=True)
        height = abs(int.from_bytes(data[22:26], "little", signed=True))  # negative: the first row is on top
        depth, compression = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
    else:
        raise InvalidPicture("the header of the BMP is damaged")
    check_size(width, height, max_pixels)
    if depth not in _DEPTHS:
        raise InvalidPicture("the header of the BMP is damaged")
    needed = 0 if compression in _RUN_LENGTH else height * (-(-width * depth // 32) * 4)
    if start + needed > len(data):
        raise InvalidPicture("the BMP is truncated or damaged")
    header = PictureHeader("BMP", width, height, 1)
    if compression not in _RUN_LENGTH:
        return Layout(header, (data,))
    padded = -(-width // _RUN_LENGTH[compression]) * _RUN_LENGTH[compression]
    parts = (data[:18], padded.to_bytes(4, "little"), memoryview(data)[22:])
    return Layout(header, parts, coded_pixels=padded * height)


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged."""
    picture = imdecode(layout)
    return None if picture is None else picture[:, : layout.header.width]
