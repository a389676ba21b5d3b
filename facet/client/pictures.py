"""Pictures as messages, from whatever a program has at hand."""

from __future__ import annotations

import importlib
import sys
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from facet.v1 import types_pb2 as pb


class PixelArray(Protocol):
    """A ``numpy.ndarray``, described here so that the client does not need NumPy."""

    @property
    def dtype(self) -> Any: ...  # noqa: D102 - NumPy's
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    def tobytes(self) -> bytes: ...  # noqa: D102


class PillowImage(Protocol):
    """A ``PIL.Image.Image``, described here so that the client does not need Pillow."""

    @property
    def mode(self) -> str: ...  # noqa: D102 - Pillow's
    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102
    def convert(self, mode: str) -> PillowImage: ...  # noqa: D102
    def tobytes(self) -> bytes: ...  # noqa: D102


class BinaryFile(Protocol):
    """A file that is open for reading bytes."""

    def read(self) -> bytes:
        """Read to the end."""
        ...


Turn = Literal["auto", "as-is", 90, 180, 270]
"""Which way up a picture is: the clockwise turn in degrees that makes it upright; ``"auto"``: the server finds out."""
_TURNS: dict[Turn, pb.Turn.ValueType] = {
    "auto": pb.TURN_UNSPECIFIED,
    "as-is": pb.TURN_AS_IS,
    90: pb.TURN_90,
    180: pb.TURN_180,
    270: pb.TURN_270,
}

PictureSource = (
    bytes | bytearray | memoryview | str | PathLike[str] | BinaryFile | PixelArray | PillowImage | pb.Picture
)
"""What :func:`picture` takes."""

RawFormat = Literal["bgr", "rgb", "grey", "bgra", "rgba", "nv12", "i420", "yuyv"]
"""What :func:`raw_picture` takes."""

_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"})


def picture(source: PictureSource, *, rgb: bool = False, turn: Turn | None = None) -> pb.Picture:
    """Make a message of a picture.

    Args:
        source: one of

            - an encoded picture (JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC, AVIF, JPEG XL) as bytes, bytearray or
              memoryview,
            - the path of a file, or a file that is open for reading bytes, read from where it stands,
            - a NumPy array of uint8: colour ``(h, w, 3)`` in OpenCV's order blue, green, red, or grey ``(h, w)``,
            - a Pillow image with 8-bit samples; it is turned upright by its EXIF orientation,
            - a :class:`facet.v1.types_pb2.Picture`, which stays as it is.
        rgb: the samples of a colour array are in the order red, green, blue. Other sources ignore this.
        turn: which way up it is, after its EXIF orientation is applied; ``None`` for ``"auto"``, or for what a
            :class:`facet.v1.types_pb2.Picture` says.

    Raises:
        OSError: the file cannot be read.
        TypeError: the source is none of these.
        ValueError: the array or image has another shape or type of samples, or there is no such turn.
    """
    message = _message(source, rgb=rgb)
    if turn is not None:
        given, message = message, pb.Picture()
        message.CopyFrom(given)
        message.turn = turn_message(turn)
    return message


def turn_message(turn: Turn) -> pb.Turn.ValueType:
    """The turn as the wire names it.

    Raises:
        ValueError: there is no such turn.
    """
    if turn not in _TURNS:
        raise ValueError(f"expected a turn of {', '.join(map(str, _TURNS))}, got {turn!r}")
    return _TURNS[turn]


def _message(source: PictureSource, *, rgb: bool) -> pb.Picture:
    if isinstance(source, pb.Picture):
        return source
    if isinstance(source, (bytes, bytearray, memoryview)):
        return pb.Picture(encoded=bytes(source))
    if isinstance(source, (str, PathLike)):
        return pb.Picture(encoded=Path(source).read_bytes())
    # A program that passes an array or image has imported its library already.
    if (numpy := sys.modules.get("numpy")) is not None and isinstance(source, numpy.ndarray):
        return _of_array(source, rgb=rgb)
    if (pillow := sys.modules.get("PIL.Image")) is not None and isinstance(source, pillow.Image):
        return _of_image(source)
    if callable(read := getattr(source, "read", None)):
        data = read()
        if not isinstance(data, bytes):
            raise TypeError(f"a picture's file must be open for reading bytes, but read() gave {_kind(data)}")
        return pb.Picture(encoded=data)
    raise TypeError(
        "a picture is bytes, bytearray, memoryview, a path, a binary file, a NumPy array, a Pillow image or a "
        f"facet.v1 Picture, not {_kind(source)}"
    )


def raw_picture(
    pixels: bytes | bytearray | memoryview, width: int, height: int, pixel_format: RawFormat, *, stride: int = 0
) -> pb.Picture:
    """Make a message of a frame as cameras and video decoders hand it out.

    Args:
        pixels: the samples of 8 bits, row by row; of NV12 and I420 the planes, one behind the other.
        width: pixels; even for NV12, I420 and YUYV.
        height: pixels; even for NV12 and I420.
        pixel_format: the order of the samples; NV12, I420 and YUYV are taken for limited-range BT.601.
        stride: bytes from one row to the next; 0: rows have no padding. See
            :class:`facet.v1.types_pb2.RawPicture`.

    Raises:
        ValueError: the format is unknown.
    """
    if pixel_format not in get_args(RawFormat):
        raise ValueError(f"expected one of {', '.join(get_args(RawFormat))}, got {pixel_format!r}")
    order = pb.PixelFormat.Value(f"PIXEL_FORMAT_{pixel_format.upper()}")
    return pb.Picture(
        raw=pb.RawPicture(width=width, height=height, pixel_format=order, pixels=bytes(pixels), stride=stride)
    )


def _of_array(array: Any, *, rgb: bool) -> pb.Picture:
    grey = array.ndim == 2
    if array.dtype != "uint8" or not (grey or (array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(f"expected uint8 of shape (h, w, 3) or (h, w), got {array.dtype} of {array.shape}")
    colour = pb.PIXEL_FORMAT_RGB if rgb else pb.PIXEL_FORMAT_BGR
    return _raw(array.shape[1], array.shape[0], pb.PIXEL_FORMAT_GREY if grey else colour, array.tobytes())


def _of_image(image: Any) -> pb.Picture:
    if image.mode not in _GREY_MODES | _COLOUR_MODES:
        raise ValueError(f"expected an image with 8-bit samples, got mode {image.mode}: convert it to RGB first")
    grey = image.mode in _GREY_MODES
    upright = importlib.import_module("PIL.ImageOps").exif_transpose(image).convert("L" if grey else "RGB")
    width, height = upright.size
    return _raw(width, height, pb.PIXEL_FORMAT_GREY if grey else pb.PIXEL_FORMAT_RGB, upright.tobytes())


def _raw(width: int, height: int, pixel_format: pb.PixelFormat.ValueType, pixels: bytes) -> pb.Picture:
    return pb.Picture(raw=pb.RawPicture(width=width, height=height, pixel_format=pixel_format, pixels=pixels))


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
