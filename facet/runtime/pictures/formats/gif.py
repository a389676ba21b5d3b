"""Walks over the blocks of a GIF up to the end of its first frame (GIF89a specification)."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL.GifImagePlugin import GifImageFile

from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.header import Layout, PictureHeader, check_size
from facet.runtime.pictures.pillow import bgr

MAX_BLOCKS = 2**16
"""Blocks beside those that a file of this length may have if each is half full."""

_SIGNATURES = (b"GIF87a", b"GIF89a")
_SCREEN_BYTES, _FRAME_BYTES = 13, 10
_HALF_BLOCK = 128
_EXTENSION, _FRAME, _TRAILER = 0x21, 0x2C, 0x3B
_TABLE_BIT, _TABLE_SIZE, _INTERLACED = 0x80, 0x07, 0x40
_CODE_BITS = range(1, 9)
_DAMAGED = "the GIF is truncated or damaged"


def matches(data: bytes) -> bool:
    """Whether the data begins like a GIF."""
    return data.startswith(_SIGNATURES)


def walk(data: bytes, max_pixels: int) -> Layout:
    """Check a GIF up to the end of its first frame, and keep that frame. What follows is cut off.

    Raises:
        InvalidPicture: a block is damaged, the frame does not fit into its canvas, or there are too many blocks.
        PictureTooLarge: it has more than ``max_pixels``.
    """
    if len(data) < _SCREEN_BYTES:
        raise InvalidPicture(_DAMAGED)
    canvas = _pair(data, 6)
    check_size(*canvas, max_pixels)
    colours, position = _table(data, _SCREEN_BYTES, data[10])
    blocks = MAX_BLOCKS + len(data) // _HALF_BLOCK
    while position < len(data) and data[position] == _EXTENSION:
        position, blocks = _end_of_blocks(data, position + 2, blocks)
    start = position + _FRAME_BYTES
    if position < len(data) and data[position] == _TRAILER:
        raise InvalidPicture("the GIF has no pixels")
    if start > len(data) or data[position] != _FRAME:
        raise InvalidPicture(_DAMAGED)
    offset, size, flags = _pair(data, position + 1), _pair(data, position + 5), data[position + 9]
    check_size(*size, max_pixels)
    if offset[0] + size[0] > canvas[0] or offset[1] + size[1] > canvas[1]:
        raise InvalidPicture("a frame of the GIF does not fit into its canvas")
    local, start = _table(data, start, flags)
    colours = local or colours
    if not colours:
        raise InvalidPicture("the GIF has no colours")
    if start >= len(data) or data[start] not in _CODE_BITS:
        raise InvalidPicture(_DAMAGED)
    end, _ = _end_of_blocks(data, start + 1, blocks)
    sides = size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little")
    table = _TABLE_BIT | (len(colours) // 3).bit_length() - 2
    frame = bytes((_FRAME, 0, 0, 0, 0)) + sides + bytes((flags & _INTERLACED,))
    parts = (_SIGNATURES[1], sides, bytes((table, 0, 0)), colours, frame, memoryview(data)[start:end], b"\x3b")
    return Layout(PictureHeader("GIF", *canvas, 1), parts, offset)


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged."""
    try:
        with GifImageFile(io.BytesIO(b"".join(layout.parts))) as image:
            image.load()
            return bgr(image, layout)
    except (OSError, SyntaxError, ValueError, EOFError):
        return None


def _pair(data: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")


def _table(data: bytes, start: int, flags: int) -> tuple[memoryview, int]:
    """A table of colours, empty if there is none, and its end."""
    end = start + (3 << (flags & _TABLE_SIZE) + 1 if flags & _TABLE_BIT else 0)
    if end > len(data):
        raise InvalidPicture(_DAMAGED)
    return memoryview(data)[start:end], end


def _end_of_blocks(data: bytes, position: int, most: int) -> tuple[int, int]:
    """The position behind a sequence of blocks, and how many more blocks there may be."""
    while position < len(data):
        if most == 0:
            raise InvalidPicture("the GIF has too many blocks")
        most -= 1
        length = data[position]
        position += 1 + length
        if length == 0:
            return position, most
    raise InvalidPicture(_DAMAGED)
