"""Checks the header of a BMP (BITMAPFILEHEADER, and BITMAPCOREHEADER or BITMAPINFOHEADER and its successors)."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile

from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.header import Layout, PictureHeader, check_size
from facet.runtime.pictures.opencv import imdecode
from facet.runtime.pictures.pillow import bgr

_FILE_HEADER = 14
_CORE_HEADER = 12
_INFO_HEADERS = (40, 52, 56, 64, 108, 124)
_DEPTHS = (1, 4, 8, 15, 16, 24, 32)
_RUN_LENGTH = (1, 2)


def matches(data: bytes) -> bool:
    """Whether the data begins like a BMP.

    Two letters are a weak signature: a BMP also has four reserved bytes, usually zero, or a header of a known size.
    """
    if data[:2] != b"BM":
        return False
    return data[6:10] == bytes(4) or int.from_bytes(data[14:18], "little") in (_CORE_HEADER, *_INFO_HEADERS)


def walk(data: bytes, max_pixels: int) -> Layout:
    """Check a BMP. Decoding takes time and memory in proportion to the data and the pixels.

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
    return Layout(PictureHeader("BMP", width, height, 1), (data,))


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged.

    Pillow decodes runs. ImageMagick writes runs that reach into the padding of a row, and OpenCV puts an empty row
    behind each of these.
    """
    data = bytes(layout.parts[0])
    if int.from_bytes(data[14:18], "little") == _CORE_HEADER or data[30] not in _RUN_LENGTH:
        return imdecode(layout)
    try:
        with BmpImageFile(io.BytesIO(data)) as image:
            image.load()
            return bgr(image, layout)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError):
        return None
