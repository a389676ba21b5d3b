"""What the walk over a picture's chunks or markers finds."""

from __future__ import annotations

from dataclasses import dataclass

from facet.runtime.pictures.errors import InvalidPicture, PictureTooLarge

MAX_SIDE = 2**20
"""Pixels. OpenCV and libpng refuse longer sides."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The header of an encoded picture.

    Attributes:
        format: one of :data:`facet.runtime.pictures.FORMATS`.
        width: pixels, before the orientation is applied.
        height: pixels, before the orientation is applied.
        orientation: EXIF orientation, 1 to 8; 1 is upright.
    """

    format: str
    width: int
    height: int
    orientation: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture after the walk.

    Attributes:
        header: its header.
        parts: what the decoder gets, in order: the format's signature and the pieces that the pixels need.
        offset: column and row of the first pixel of ``parts`` in the picture, which is black elsewhere.
        scale: the decoder divides the size by it, and rounds up.
        coded_pixels: pixels that the decoder decodes to show fewer; 0 if it shows all.
        may_need_more_memory: whether decoding may need more memory than allowed, which only the decoder finds out.
    """

    header: PictureHeader
    parts: tuple[bytes | memoryview, ...]
    offset: tuple[int, int] = (0, 0)
    scale: int = 1
    coded_pixels: int = 0
    may_need_more_memory: bool = False

    @property
    def width(self) -> int:
        """Pixels of a decoded row, before the orientation is applied."""
        return -(-self.header.width // self.scale)

    @property
    def height(self) -> int:
        """Decoded rows, before the orientation is applied."""
        return -(-self.header.height // self.scale)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Check the size that a header declares.

    Raises:
        InvalidPicture: it has no pixels.
        PictureTooLarge: it has more than ``max_pixels``, or a side longer than :data:`MAX_SIDE`.
    """
    if width < 1 or height < 1:
        raise InvalidPicture(f"the picture is {width}x{height}: it has no pixels")
    if width * height > max_pixels:
        raise PictureTooLarge(f"the picture is {width}x{height}, over the limit of {max_pixels} pixels")
    if max(width, height) > MAX_SIDE:
        raise PictureTooLarge(f"the picture is {width}x{height}: a side is over the limit of {MAX_SIDE} pixels")
