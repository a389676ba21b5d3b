"""Finds the format of a picture, walks over its parts and decodes it to upright BGR."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures import foreign
from facet.runtime.pictures.decoded import DecodedPicture, Placement
from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.formats import avif, bmp, gif, heif, jpeg, jxl, png, tiff, webp
from facet.runtime.pictures.header import Layout, PictureHeader

_BY_NAME: dict[str, ModuleType] = {
    "JPEG": jpeg,
    "PNG": png,
    "WEBP": webp,
    "BMP": bmp,
    "GIF": gif,
    "TIFF": tiff,
    "HEIF": heif,
    "AVIF": avif,
    "JXL": jxl,
}
KNOWN_FORMATS = tuple(_BY_NAME)
_OPTIONAL = {"HEIF": heif.can_decode, "JXL": jxl.can_decode}
FORMATS = tuple(name for name in KNOWN_FORMATS if name not in _OPTIONAL or _OPTIONAL[name]())
"""Those that are taken here: some need a library that may be missing."""

_UNDO = {
    # orientation: (transpose, then flip rows, then flip columns)
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_header(data: bytes, *, max_pixels: int) -> PictureHeader:
    """Walk over a picture's parts and return its header, without decoding it.

    Raises:
        InvalidPicture: the data is empty, truncated, damaged, or not a picture in one of :data:`FORMATS`.
        PictureTooLarge: the picture has more than ``max_pixels``, or needs too much memory.
        PictureTooSlow: the picture takes too long to decode.
    """
    return walk(data, max_pixels=max_pixels).header


def decode(data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a picture to upright BGR, shape ``(height, width, 3)``.

    Applies the EXIF orientation, drops alpha, reduces samples of 10, 12 or 16 bits to 8 bits, converts CMYK and grey to
    BGR, takes the first page, or the first frame of an animation, and ignores what follows the picture.

    It decodes in this thread and cannot be stopped: the walk bounds its time and memory by ``max_pixels`` and the
    number of bytes. :class:`facet.runtime.decoders.DecoderPool` decodes in processes that are stopped in time.

    Raises:
        InvalidPicture: the data is empty, truncated, damaged, or not a picture in one of :data:`FORMATS`.
        PictureTooLarge: the picture has more than ``max_pixels``, or needs too much memory.
        PictureTooSlow: the picture takes too long to decode.
    """
    return pixels_of(walk(data, max_pixels=max_pixels))


def decode_reduced(data: bytes, *, max_pixels: int, longer_side: int | None) -> DecodedPicture:
    """Decode a picture like :func:`decode`, a large JPEG at a half, a quarter or an eighth of its size.

    libjpeg then computes fewer pixels, and their values are close to the means of those of the full picture. It saves
    most of the time and memory.

    Args:
        data: the encoded picture.
        max_pixels: of the decoded picture. A JPEG may have
            :data:`facet.runtime.pictures.formats.jpeg.MAX_REDUCTION` times as many before it is reduced.
        longer_side: pixels that the longer side keeps at least, if ``max_pixels`` permits; ``None``: all.

    Raises:
        InvalidPicture: the data is empty, truncated, damaged, or not a picture in one of :data:`FORMATS`.
        PictureTooLarge: the picture has more pixels than allowed, or needs too much memory.
        PictureTooSlow: the picture takes too long to decode.
    """
    layout = walk(data, max_pixels=max_pixels, longer_side=longer_side)
    return DecodedPicture(pixels_of(layout), placement(layout))


def walk(data: bytes, *, max_pixels: int, longer_side: int | None = None) -> Layout:
    """Check a picture and keep what its decoder needs; raises what :func:`decode_reduced` raises."""
    if not data:
        raise InvalidPicture("the picture is empty")
    if jpeg.matches(data):
        return jpeg.walk(data, max_pixels, longer_side)
    for module in _BY_NAME.values():
        if module.matches(data):
            layout: Layout = module.walk(data, max_pixels)
            return layout
    name = foreign.name_of(data)
    formats = ", ".join(FORMATS)
    if name:
        raise InvalidPicture(f"this is {name}: convert it to one of {formats}")
    raise InvalidPicture(f"expected one of {formats}, the first bytes are {data[:8].hex(' ')}")


def pixels_of(layout: Layout) -> NDArray[np.uint8]:
    """Decode a checked picture; raises and returns what :func:`decode` does."""
    header = layout.header
    picture: NDArray[np.uint8] | None = _BY_NAME[header.format].decode(layout)
    if picture is None:
        raise InvalidPicture(f"the {header.format} is truncated or damaged")
    if picture.shape != (layout.height, layout.width, 3):
        raise InvalidPicture(f"the size of the {header.format} differs from its header")
    return _upright(picture, header.orientation)


def placement(layout: Layout) -> Placement:
    """Where the upright pixels of a checked picture are in the full one."""
    header, scale = layout.header, layout.scale
    transposed, flip_rows, flip_columns = _UNDO[header.orientation]
    width, height = (header.height, header.width) if transposed else (header.width, header.height)
    left = width - scale * -(-width // scale) if flip_columns else 0
    top = height - scale * -(-height // scale) if flip_rows else 0
    return Placement(width, height, scale, left, top)


def _upright(picture: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (CIPA DC-008, tag 0x0112)."""
    transposed, flip_rows, flip_columns = _UNDO[orientation]
    if transposed:
        picture = picture.transpose(1, 0, 2)
    if flip_rows:
        picture = picture[::-1]
    if flip_columns:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)
