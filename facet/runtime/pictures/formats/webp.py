"""Walks over the chunks of a WebP (RFC 9649)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.exif import orientation_of
from facet.runtime.pictures.header import Layout, PictureHeader, check_size
from facet.runtime.pictures.opencv import imdecode

MAX_CHUNKS = 2**14

_MAX_METADATA_BYTES = 2**20
_LOSSY, _LOSSLESS, _FRAME = b"VP8 ", b"VP8L", b"ANMF"
_KEY_FRAME = b"\x9d\x01\x2a"
_LOSSLESS_SIGNATURE = 0x2F
_ALPHA_BIT = 0x10
"""In the last byte of the size of a lossless picture."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    body: memoryview


def matches(data: bytes) -> bool:
    """Whether the data begins like a WebP."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def walk(data: bytes, max_pixels: int) -> Layout:
    """Check a WebP, and keep the pixels of its first frame without their alpha.

    Raises:
        InvalidPicture: a chunk or a size is damaged, or there are too many chunks.
        PictureTooLarge: it has more than ``max_pixels``.
    """
    length = 8 + int.from_bytes(data[4:8], "little")
    if length > len(data) or length < 12:
        raise InvalidPicture("the WEBP is truncated or damaged")
    canvas: tuple[int, int] | None = None
    picture: _Chunk | None = None
    offset = (0, 0)
    exif = xmp = b""
    for number, chunk in enumerate(_chunks(memoryview(data)[12:length])):
        if chunk.kind == b"VP8X" and number == 0:
            canvas = _canvas(chunk.body)
            check_size(*canvas, max_pixels)
        elif chunk.kind in (_LOSSY, _LOSSLESS):
            picture = picture or chunk
        elif chunk.kind == _FRAME and picture is None:
            offset, picture = _first_frame(chunk.body)
        elif chunk.kind == b"EXIF":
            exif = exif or bytes(chunk.body[:_MAX_METADATA_BYTES])
        elif chunk.kind == b"XMP ":
            xmp = xmp or bytes(chunk.body[:_MAX_METADATA_BYTES])
        if canvas is None:  # without VP8X the file is one chunk, and others are ignored
            break
    if picture is None:
        raise InvalidPicture("the WEBP has no pixels")
    size = _lossless_size(picture.body) if picture.kind == _LOSSLESS else _lossy_size(picture.body)
    check_size(*size, max_pixels)
    width, height = canvas or size
    if offset[0] + size[0] > width or offset[1] + size[1] > height:
        raise InvalidPicture("a frame of the WEBP does not fit into its canvas")
    header = PictureHeader("WEBP", width, height, orientation_of(exif, xmp))
    return Layout(header, _written(picture), offset)


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged."""
    frame = imdecode(layout)
    shape = (layout.header.height, layout.header.width, 3)
    if frame is None or frame.shape == shape:
        return frame
    picture = np.zeros(shape, np.uint8)
    x, y = layout.offset
    picture[y : y + frame.shape[0], x : x + frame.shape[1]] = frame
    return picture


def _chunks(data: memoryview) -> Iterator[_Chunk]:
    """The chunks in order, each checked against the end of the data."""
    position = 0
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(data):
            return
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        if position + 8 + length > len(data):
            raise InvalidPicture("the WEBP is truncated or damaged: a chunk ends behind its data")
        yield _Chunk(bytes(data[position : position + 4]), data[position + 8 : position + 8 + length])
        position += 8 + length + (length & 1)
    raise InvalidPicture(f"the WEBP has more than {MAX_CHUNKS} chunks")


def _canvas(body: memoryview) -> tuple[int, int]:
    if len(body) < 10:
        raise InvalidPicture("the header of the WEBP is damaged")
    return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")


def _first_frame(body: memoryview) -> tuple[tuple[int, int], _Chunk]:
    """Offset and pixels of a frame of an animation."""
    if len(body) < 16:
        raise InvalidPicture("a frame of the WEBP is damaged")
    declared = (1 + int.from_bytes(body[6:9], "little"), 1 + int.from_bytes(body[9:12], "little"))
    for chunk in _chunks(body[16:]):
        if chunk.kind in (_LOSSY, _LOSSLESS):
            size = _lossless_size(chunk.body) if chunk.kind == _LOSSLESS else _lossy_size(chunk.body)
            if size != declared:
                break
            return (2 * int.from_bytes(body[:3], "little"), 2 * int.from_bytes(body[3:6], "little")), chunk
    raise InvalidPicture("a frame of the WEBP is damaged")


def _lossy_size(body: memoryview) -> tuple[int, int]:
    if len(body) < 10 or body[0] & 1 or bytes(body[3:6]) != _KEY_FRAME:
        raise InvalidPicture("the header of the WEBP is damaged")
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _lossless_size(body: memoryview) -> tuple[int, int]:
    if len(body) < 5 or body[0] != _LOSSLESS_SIGNATURE:
        raise InvalidPicture("the header of the WEBP is damaged")
    bits = int.from_bytes(body[1:5], "little")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def _written(chunk: _Chunk) -> tuple[bytes | memoryview, ...]:
    """A file of one chunk. A lossless picture no longer says that it has alpha, which saves the decoder a copy."""
    body: tuple[bytes | memoryview, ...] = (chunk.body,)
    if chunk.kind == _LOSSLESS:
        body = (chunk.body[:4], bytes((chunk.body[4] & ~_ALPHA_BIT,)), chunk.body[5:])
    size = len(chunk.body)
    padding = bytes(size & 1)
    file_size = (4 + 8 + size + len(padding)).to_bytes(4, "little")
    return (b"RIFF", file_size, b"WEBP", chunk.kind, size.to_bytes(4, "little"), *body, padding)
