"""Walks over the first directory of a TIFF or BigTIFF (TIFF 6.0, section 2; Adobe's technical notes 1 and 2)."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from facet.runtime.pictures.containers.tiff_directory import Directory, Tag
from facet.runtime.pictures.errors import InvalidPicture, PictureTooLarge
from facet.runtime.pictures.header import Layout, PictureHeader, check_size
from facet.runtime.pictures.opencv import deep_imdecode
from facet.runtime.pictures.pillow import bgr, eight_bits, is_too_dark

MAX_PIECES = 2**17
"""Strips or tiles."""

_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000}
"""None, CCITT, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard."""
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""Samples of each photometric interpretation: grey (two), RGB, palette, CMYK, YCbCr, Lab."""
_WHITE_IS_ZERO, _PALETTE = 0, 3
_JPEG, _SEPARATE, _UNSIGNED = 7, 2, 1
_DEPTHS = (1, 2, 4, 8, 12, 16)
_MAX_EXTRA = 3
_REDUCED = 1
"""Bit of the kind of a directory: a smaller version of another picture in the file."""
_OTHER_BYTES = 2**24
_END_OF_JPEG = b"\xff\xd9"


def matches(data: bytes) -> bool:
    """Whether the data begins like a TIFF or BigTIFF, and not like the raw files of Canon (CR2)."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and data[8:11] != b"CR\2"


def walk(data: bytes, max_pixels: int) -> Layout:
    """Check the first directory of a TIFF, and keep what its pixels need. Other directories are not looked at.

    Raises:
        InvalidPicture: the directory is damaged, its pixels are of an unsupported kind, or they end behind the data.
        PictureTooLarge: it has more than ``max_pixels``, or needs too much memory.
    """
    directory = Directory(data)
    width, height = directory.number(Tag.WIDTH, 0), directory.number(Tag.HEIGHT, 0)
    check_size(width, height, max_pixels)
    samples, bits = _kind(directory)
    planes = samples if directory.number(Tag.PLANAR, 1) == _SEPARATE else 1
    tiled = Tag.TILE_OFFSETS in directory
    if tiled:
        columns, rows = directory.number(Tag.TILE_WIDTH, 0), directory.number(Tag.TILE_HEIGHT, 0)
        check_size(columns, rows, max_pixels)
        tags = Tag.TILE_OFFSETS, Tag.TILE_BYTES
    else:
        columns, rows = width, min(height, directory.number(Tag.ROWS_PER_STRIP, height))
        tags = Tag.STRIP_OFFSETS, Tag.STRIP_BYTES
    if rows < 1:
        raise InvalidPicture("the TIFF is damaged")
    wanted = -(-width // columns) * -(-height // rows) * planes
    if wanted > MAX_PIECES:
        raise InvalidPicture(f"the TIFF has more than {MAX_PIECES} strips or tiles")
    piece_bytes = rows * -(-columns * bits * (samples // planes) // 8)
    if piece_bytes + 7 * width * height > 9 * max_pixels + _OTHER_BYTES:
        raise PictureTooLarge(f"the TIFF is {width}x{height} and needs too much memory to decode: reduce its size")
    pieces = _pieces(data, directory, tags, wanted)
    if directory.number(Tag.COMPRESSION, 1) == _JPEG and not all(
        _END_OF_JPEG in bytes(piece[-16:]) for piece in pieces
    ):
        raise InvalidPicture(
            "the TIFF is truncated or damaged: a JPEG in it has no end"
        )  # libjpeg would invent the rest
    orientation = directory.number(Tag.ORIENTATION, 1)
    header = PictureHeader("TIFF", width, height, orientation if 1 <= orientation <= 8 else 1)
    return Layout(header, directory.written(tags, pieces))


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged."""
    encoded = b"".join(layout.parts)
    try:
        with TiffImageFile(io.BytesIO(encoded)) as image:
            image.load()
            picture = bgr(image, layout)
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError):
        return None
    is_deep = Directory(encoded).number(Tag.BITS, 1) == 16 and not image.mode.startswith("I")
    if is_deep and is_too_dark(picture) and (deep := deep_imdecode(encoded)) is not None:
        return eight_bits(deep)
    return picture


def _kind(directory: Directory) -> tuple[int, int]:
    """The number of samples of a pixel and their bits, of a kind that is supported."""
    if directory.number(Tag.SUBFILE, 0) & _REDUCED or Tag.DNG in directory:
        raise InvalidPicture("the first picture of the TIFF is a preview, as in raw files of cameras: save it as JPEG")
    compression, colours = directory.number(Tag.COMPRESSION, 1), directory.number(Tag.PHOTOMETRIC, -1)
    if compression not in _COMPRESSIONS:
        raise InvalidPicture(f"the TIFF has an unsupported compression, {compression}")
    if colours not in _COLOURS or (colours == _PALETTE and Tag.PALETTE not in directory):
        raise InvalidPicture(f"the TIFF has an unsupported kind of colours, {colours}")
    samples, depths = directory.number(Tag.SAMPLES, 1), set(directory.numbers(Tag.BITS)) or {1}
    if not _COLOURS[colours] <= samples <= _COLOURS[colours] + _MAX_EXTRA:
        raise InvalidPicture(f"the TIFF has {samples} samples a pixel, which does not fit its colours")
    if set(directory.numbers(Tag.SAMPLE_FORMAT)) - {_UNSIGNED}:
        raise InvalidPicture("the TIFF has signed or floating-point samples: only unsigned integers are supported")
    if len(depths) != 1 or not depths <= set(_DEPTHS):
        raise InvalidPicture(f"the TIFF has samples of {sorted(depths)} bits: up to 16 are supported, all the same")
    bits = depths.pop()
    if samples > 1 and bits not in (8, 16):
        raise InvalidPicture(
            f"the TIFF has {samples} samples of {bits} bits a pixel: with several, 8 or 16 are supported"
        )
    if bits > 8 and (colours == _WHITE_IS_ZERO or (samples > 1 and directory.number(Tag.PLANAR, 1) == _SEPARATE)):
        raise InvalidPicture("the TIFF has samples of more than 8 bits that are inverted or in separate planes")
    return samples, bits


def _pieces(data: bytes, directory: Directory, tags: tuple[Tag, Tag], wanted: int) -> list[memoryview]:
    """The compressed strips or tiles, in order."""
    starts, lengths = (directory.numbers(tag)[:wanted] for tag in tags)
    if len(starts) < wanted or len(lengths) < wanted:
        raise InvalidPicture("the TIFF is damaged: it lacks strips or tiles")
    if sum(lengths) > len(data) or any(
        start + length > len(data) for start, length in zip(starts, lengths, strict=True)
    ):
        raise InvalidPicture("the TIFF is truncated or damaged: a strip or tile ends behind its data")
    view = memoryview(data)
    return [view[start : start + length] for start, length in zip(starts, lengths, strict=True)]
