"""Decodes pictures to upright BGR arrays. Limits are checked on the header, before decoding."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
MAX_PROGRESSIVE_SCANS = 32

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 0x0112
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
_DECODE_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


class PictureError(Exception):
    """A picture cannot be used.

    Attributes:
        kind: the category of failure, independent of any protocol.
        reason: stable identifier of the failure.
        request_field: the field of the request that holds the picture; empty until the caller names it.
    """

    kind: ClassVar[Literal["invalid"]] = "invalid"
    reason: ClassVar[str]
    request_field: str | None = ""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Further facts for programs, by name."""
        return {}


class InvalidPicture(PictureError):
    """The data is not a picture, is damaged, or has an unsupported format."""

    reason = "INVALID_PICTURE"


class PictureTooLarge(PictureError):
    """The picture has more pixels than allowed."""

    reason = "PICTURE_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The header of an encoded picture.

    Attributes:
        format: one of :data:`FORMATS`.
        width: pixels, before the orientation is applied.
        height: pixels, before the orientation is applied.
        orientation: EXIF orientation, 1 to 8; 1 is upright.
    """

    format: str
    width: int
    height: int
    orientation: int


def read_header(data: bytes, *, max_pixels: int) -> PictureHeader:
    """Read a picture's header without decoding it.

    Raises:
        InvalidPicture: the data is empty, or not a picture in one of :data:`FORMATS`.
        PictureTooLarge: the picture has more than ``max_pixels``.
    """
    if not data:
        raise InvalidPicture("the picture is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            orientation = _orientation(image, data)
            format_ = "JPEG" if image.format == "MPO" else image.format or ""  # MPO: a JPEG followed by others
    except Image.DecompressionBombError as error:  # Pillow's own limit, unless the program has removed it
        raise PictureTooLarge(f"the picture is over the limit of {max_pixels} pixels") from error
    except Exception as error:  # Pillow's parsers raise many kinds of errors on hostile bytes
        if claimed := _claimed_format(data):
            raise InvalidPicture(f"the {claimed} is truncated or damaged") from error
        raise InvalidPicture(
            f"not a readable picture: expected {', '.join(FORMATS)}, the first bytes are {data[:8].hex(' ')}"
        ) from error
    if width < 1 or height < 1:
        raise InvalidPicture(f"the picture is {width}x{height}: it has no pixels")
    if width * height > max_pixels:
        raise PictureTooLarge(f"the picture is {width}x{height}, over the limit of {max_pixels} pixels")
    return PictureHeader(format_, width, height, orientation)


def decode(data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a picture to upright BGR, shape ``(height, width, 3)``.

    Applies the EXIF orientation, drops alpha, reduces 16-bit samples to 8 bits, converts CMYK and grey to BGR, and
    takes the first frame of an animation.

    Raises:
        InvalidPicture: the data is empty, truncated, damaged, or not a picture in one of :data:`FORMATS`.
        PictureTooLarge: the picture has more than ``max_pixels`` according to its header.
    """
    header = read_header(data, max_pixels=max_pixels)
    if header.format == "JPEG" and data.count(b"\xff\xda") > MAX_PROGRESSIVE_SCANS:
        raise InvalidPicture(f"the JPEG has more than {MAX_PROGRESSIVE_SCANS} scans")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), _DECODE_FLAGS)
    except cv2.error as error:
        raise InvalidPicture(f"the {header.format} cannot be decoded") from error
    if picture is None:
        raise InvalidPicture(f"the {header.format} is truncated or damaged")
    if picture.shape != (header.height, header.width, 3):
        raise InvalidPicture(f"the size of the {header.format} differs from its header")
    return _upright(np.asarray(picture, np.uint8), header.orientation)


def from_raw(
    pixels: bytes, *, width: int, height: int, order: Literal["bgr", "rgb", "grey"], max_pixels: int
) -> NDArray[np.uint8]:
    """Convert raw rows of 8-bit pixels to BGR, shape ``(height, width, 3)``.

    Raises:
        InvalidPicture: there are no pixels, or the number of bytes does not match the size.
        PictureTooLarge: the picture has more than ``max_pixels``.
    """
    if width < 1 or height < 1:
        raise InvalidPicture(f"the picture is {width}x{height}: it has no pixels")
    if width * height > max_pixels:
        raise PictureTooLarge(f"the picture is {width}x{height}, over the limit of {max_pixels} pixels")
    samples = 1 if order == "grey" else 3
    if len(pixels) != width * height * samples:
        raise InvalidPicture(
            f"{width}x{height} {order} pixels need {width * height * samples} bytes, got {len(pixels)}"
        )
    rows = np.frombuffer(pixels, np.uint8).reshape(height, width, samples)
    if order == "bgr":
        return rows
    code = cv2.COLOR_GRAY2BGR if order == "grey" else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(rows, code), np.uint8)


def _claimed_format(data: bytes) -> str:
    """Name the format, one of :data:`FORMATS`, whose signature the data begins with; empty if there is none."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(_PNG_SIGNATURE):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    # Two letters are a weak signature: a BMP also has four reserved bytes of zero after its size.
    return "BMP" if data.startswith(b"BM") and data[6:10] == bytes(4) else ""


def _orientation(image: Image.Image, data: bytes) -> int:
    """Read the EXIF orientation, 1 to 8; 1 if it is missing or damaged."""
    try:
        if image.format == "PNG" and "exif" not in image.info:
            image.info["exif"] = _png_exif(data)
        # The PNG class overrides getexif() and decodes all pixels to search for a chunk behind them.
        orientation = int(Image.Image.getexif(image).get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged metadata does not make the picture unusable
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _png_exif(data: bytes) -> bytes:
    """Return the chunk eXIf of a PNG, wherever it is; empty if there is none."""
    position = len(_PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8]
        if kind == b"eXIf":
            return data[position + 8 : position + 8 + length]
        position += 12 + length
    return b""


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
