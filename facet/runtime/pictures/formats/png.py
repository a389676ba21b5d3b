"""Walks over the chunks of a PNG (W3C PNG specification, third edition, sections 5 and 11)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.exif import orientation_of
from facet.runtime.pictures.header import MAX_SIDE, Layout, PictureHeader, check_size
from facet.runtime.pictures.opencv import deep_imdecode
from facet.runtime.pictures.pillow import bgr, eight_bits, is_too_dark

MAX_CHUNKS = 2**15

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits a sample that each colour type may have: grey, colours, palette, grey with alpha, colours with alpha."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Column, row, and their steps, of each pass of an interlaced picture."""
_PALETTE = 3
_ANCILLARY = 0x20
"""Bit of the first letter of a chunk's name."""
_CONTROL_BYTES, _SEQUENCE_BYTES = 26, 4
"""Sizes of fcTL, and of the number with which fdAT begins (APNG)."""
_MAX_METADATA_BYTES = 2**20
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_INFLATED_AT_ONCE = 2**20


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk; ``crc`` is what it claims."""

    kind: bytes
    body: memoryview
    crc: int


@dataclass(frozen=True, slots=True)
class _Header:
    """IHDR: the size, and the bytes behind it."""

    width: int
    height: int
    rest: bytes

    @property
    def colour(self) -> int:
        return self.rest[1]

    def inflated_bytes(self) -> int:
        """Bytes of all rows, each with the byte that names its filter."""
        depth, colour, *_, interlaced = self.rest
        sizes = [(self.width, self.height)]
        if interlaced:
            sizes = [
                (-(-(self.width - x) // dx), -(-(self.height - y) // dy))
                for x, y, dx, dy in _ADAM7
                if self.width > x and self.height > y
            ]
        return sum(height * (1 + -(-width * depth * _CHANNELS[colour] // 8)) for width, height in sizes)

    def encoded(self) -> bytes:
        return self.width.to_bytes(4, "big") + self.height.to_bytes(4, "big") + self.rest


def matches(data: bytes) -> bool:
    """Whether the data begins like a PNG."""
    return data.startswith(_SIGNATURE)


def walk(data: bytes, max_pixels: int) -> Layout:
    """Check a PNG, and keep its header, its palette and its compressed pixels.

    Text, colour profiles and the further frames of an animation never reach a decoder.

    Raises:
        InvalidPicture: a chunk is damaged, misplaced or unknown and critical, or there are too many.
        PictureTooLarge: it has more than ``max_pixels``.
    """
    ihdr: _Header | None = None
    palette = exif = xmp = b""
    still: list[memoryview] = []
    moving: list[memoryview] = []
    frame: memoryview | None = None
    previous = b""
    for chunk in _chunks(data):
        if (chunk.kind == b"IHDR") != (ihdr is None):
            raise InvalidPicture("the PNG does not begin with one IHDR")
        if chunk.kind == b"IHDR":
            ihdr = _header(chunk.body, max_pixels)
        elif chunk.kind == b"PLTE":
            palette = palette or _palette(chunk.body)
        elif chunk.kind == b"IDAT":
            if not still or previous == b"IDAT":
                still.append(chunk.body)
        elif chunk.kind == b"IEND":
            break
        elif not chunk.kind[0] & _ANCILLARY:
            raise InvalidPicture("the PNG has an unknown critical chunk")
        elif chunk.kind == b"fcTL":
            frame = chunk.body if frame is None else frame
        elif chunk.kind == b"fdAT" and (not moving or previous == b"fdAT"):
            moving.append(chunk.body[_SEQUENCE_BYTES:])
        elif chunk.kind == b"eXIf":
            exif = exif or bytes(chunk.body[:_MAX_METADATA_BYTES])
        elif chunk.kind == b"iTXt" and not still:
            xmp = xmp or _xmp(bytes(chunk.body[:_MAX_METADATA_BYTES]))
        if chunk.kind == b"IDAT" and frame is not None:
            frame = frame[:0]  # the animation begins with these pixels
        previous = chunk.kind
    else:
        raise InvalidPicture("the PNG is truncated or damaged: it has no IEND")
    if ihdr is None or not still or (ihdr.colour == _PALETTE and not palette):
        raise InvalidPicture("the PNG has no pixels")
    first, offset, pixels = ihdr, (0, 0), still
    if frame and moving:
        first, offset = _moving_frame(frame, ihdr)
        pixels = moving
    parts = [_SIGNATURE, *_written(b"IHDR", [first.encoded()])]
    if ihdr.colour == _PALETTE:
        parts += _written(b"PLTE", [palette])
    parts += [*_written(b"IDAT", pixels), *_written(b"IEND", [])]
    header = PictureHeader("PNG", ihdr.width, ihdr.height, orientation_of(exif, xmp))
    return Layout(header, tuple(parts), offset)


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged.

    Pillow decodes, because it stops inflating at the last row. libpng inflates what follows as well.
    """
    encoded = b"".join(layout.parts)
    try:
        with PngImageFile(io.BytesIO(encoded)) as image:
            if not _load(image, encoded):
                return None
            picture = bgr(image, layout)
            if image.mode.startswith("RGB") and _header_of(encoded).rest[0] == 16 and is_too_dark(picture):
                width, height = image.size
                if (deep := _deep(encoded)) is not None:
                    x, y = layout.offset
                    picture[y : y + height, x : x + width] = deep
            return picture
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error):
        return None


def _load(image: PngImageFile, encoded: bytes) -> bool:
    """Decode, and tell whether there was data for every row: Pillow takes missing rows for black ones.

    A pattern is put into the last row. Only if it is still there, or the rows come in no order, the data is inflated a
    second time and counted.
    """
    if image.info.get("interlace"):
        image.load()
        return _is_complete(encoded)
    width, height = image.size
    last = (0, height - 1, width, height)
    bits = 1 if image.mode == "1" else 16 if image.mode.startswith("I") else 8 * len(image.getbands())
    pattern = Image.frombytes(image.mode, (width, 1), b"Z" * (-(-width * bits // 8)))
    image.load_prepare()
    image.im.paste(pattern.im, last)
    image.load()
    return image.crop(last).tobytes() != pattern.tobytes() or _is_complete(encoded)


def _is_complete(encoded: bytes) -> bool:
    """Whether the compressed data has as many bytes as the header asks for."""
    return sum(map(len, _inflated(encoded))) >= _header_of(encoded).inflated_bytes()


def _deep(encoded: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a picture with 16-bit colours, of which Pillow keeps the upper 8 bits; ``None`` if it is damaged.

    Only for pictures that use fewer bits: libpng decodes them, with their data cut off at the last row.
    """
    compressor = zlib.compressobj(1)
    pixels = [*(compressor.compress(piece) for piece in _inflated(encoded)), compressor.flush()]
    parts = [_SIGNATURE, *_written(b"IHDR", [_header_of(encoded).encoded()]), *_written(b"IDAT", pixels)]
    deep = deep_imdecode(b"".join([*parts, *_written(b"IEND", [])]))
    return None if deep is None else eight_bits(deep)


def _inflated(encoded: bytes) -> Iterator[bytes]:
    """The rows, in pieces, and nothing behind them."""
    needed = _header_of(encoded).inflated_bytes()
    inflater, rest = zlib.decompressobj(), _body(encoded, b"IDAT")
    while needed > 0 and not inflater.eof:
        inflated = inflater.decompress(rest, min(needed, _INFLATED_AT_ONCE))
        rest = inflater.unconsumed_tail
        if not inflated and not rest:
            return
        needed -= len(inflated)
        yield inflated


def _header_of(encoded: bytes) -> _Header:
    return _header(memoryview(_body(encoded, b"IHDR")), MAX_SIDE**2)


def _body(encoded: bytes, kind: bytes) -> bytes:
    return next(bytes(chunk.body) for chunk in _chunks(encoded) if chunk.kind == kind)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks in order, each checked against the end of the data; of critical ones also the checksum."""
    view, position = memoryview(data), len(_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if position == len(data):
            return
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 8 + length
        if end + 4 > len(data):
            raise InvalidPicture("the PNG is truncated or damaged: a chunk ends behind its data")
        chunk = _Chunk(kind, view[position + 8 : end], int.from_bytes(data[end : end + 4], "big"))
        if not kind[0] & _ANCILLARY and kind != b"IEND" and zlib.crc32(chunk.body, zlib.crc32(kind)) != chunk.crc:
            raise InvalidPicture("the PNG is damaged: a checksum is wrong")
        yield chunk
        position = end + 4
    raise InvalidPicture(f"the PNG has more than {MAX_CHUNKS} chunks")


def _header(body: memoryview, max_pixels: int) -> _Header:
    if len(body) != 13:
        raise InvalidPicture("the header of the PNG is damaged")
    header = _Header(int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big"), bytes(body[8:]))
    depth, colour, compression, filtering, interlace = header.rest
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise InvalidPicture("the header of the PNG is damaged")
    check_size(header.width, header.height, max_pixels)
    return header


def _moving_frame(control: memoryview, canvas: _Header) -> tuple[_Header, tuple[int, int]]:
    """Header and offset of the first frame of an animation that the still picture is not part of."""
    if len(control) != _CONTROL_BYTES:
        raise InvalidPicture("a frame of the PNG is damaged")
    width, height, x, y = (int.from_bytes(control[at : at + 4], "big") for at in range(4, 20, 4))
    if not (1 <= width <= canvas.width - x and 1 <= height <= canvas.height - y):
        raise InvalidPicture("a frame of the PNG does not fit into its canvas")
    return _Header(width, height, canvas.rest), (x, y)


def _palette(body: memoryview) -> bytes:
    plte = bytes(body[: 3 * 256 + 1])
    if not plte or len(plte) % 3 or len(plte) > 3 * 256:
        raise InvalidPicture("the palette of the PNG is damaged")
    return plte


def _xmp(itxt: bytes) -> bytes:
    """The XMP packet that an iTXt chunk holds; empty if it holds another text, or a damaged one."""
    if not itxt.startswith(_XMP_KEYWORD) or len(itxt) < len(_XMP_KEYWORD) + 2:
        return b""
    compressed = itxt[len(_XMP_KEYWORD)]
    text = itxt[len(_XMP_KEYWORD) + 2 :].split(b"\0", 2)[-1]
    if not compressed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _MAX_METADATA_BYTES)
    except zlib.error:
        return b""


def _written(kind: bytes, bodies: list[bytes] | list[memoryview]) -> list[bytes | memoryview]:
    crc = zlib.crc32(kind)
    for body in bodies:
        crc = zlib.crc32(body, crc)
    return [sum(map(len, bodies)).to_bytes(4, "big"), kind, *bodies, crc.to_bytes(4, "big")]
