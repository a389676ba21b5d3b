"""Reads the header of a JPEG XL (ISO/IEC 18181-1 and -2)."""

from __future__ import annotations

import importlib
import importlib.util

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.containers.jxl_header import (
    CODESTREAM,
    CONTAINER,
    HEADER_BYTES,
    codestream,
    header_of,
)
from facet.runtime.pictures.errors import InvalidPicture, PictureTooLarge
from facet.runtime.pictures.header import Layout, PictureHeader, check_size
from facet.runtime.pictures.pillow import eight_bits

MAX_EXTRA_CHANNELS = 4
"""Such as alpha and depth. The decoder has them all in memory."""

_MAX_BITS = 16
_TRUNCATED = "NEED_MORE_INPUT"
_PIXEL_BYTES, _MOST_PIXEL_BYTES, _EXTRA_BYTES, _OTHER_BYTES = 8, 28, 6, 2**26
"""Measured: of a lossy picture or a JPEG in JXL, of a lossless one, of each further channel, and of the decoder."""


def matches(data: bytes) -> bool:
    """Whether the data begins like a JPEG XL, in a container or not."""
    return data.startswith((CODESTREAM, CONTAINER))


def can_decode() -> bool:
    """Whether the library that decodes JPEG XL is installed; it is an extra."""
    return importlib.util.find_spec("imagecodecs") is not None


def walk(data: bytes, max_pixels: int) -> Layout:
    """Check the header of a JPEG XL, and keep its codestream: the further boxes never reach a decoder.

    The orientation is that of the codestream. That of EXIF is ignored, as the standard demands.

    Raises:
        InvalidPicture: the header or a box is damaged, the samples are of an unsupported kind, or there are too many
            channels.
        PictureTooLarge: it has more than ``max_pixels``, or needs too much memory.
    """
    pieces = codestream(data)
    header = header_of(b"".join(bytes(piece[:HEADER_BYTES]) for piece in pieces))
    check_size(header.width, header.height, max_pixels)
    if not can_decode():
        raise InvalidPicture("this server takes no JXL until imagecodecs is installed: send a JPEG")
    if header.is_float or header.bits > _MAX_BITS:
        raise InvalidPicture("the JXL has samples that are floating-point or over 16 bits")
    if header.extra_channels > MAX_EXTRA_CHANNELS:
        raise InvalidPicture(
            f"the JXL has {header.extra_channels} channels beside its colours: up to {MAX_EXTRA_CHANNELS} are supported"
        )
    pixels, permitted = header.width * header.height, 9 * max_pixels + _OTHER_BYTES
    least, most = (each + _EXTRA_BYTES * header.extra_channels for each in (_PIXEL_BYTES, _MOST_PIXEL_BYTES))
    if least * pixels > permitted:
        raise PictureTooLarge(_too_large(header.width, header.height))
    return Layout(
        PictureHeader("JXL", header.width, header.height, header.orientation),
        tuple(pieces),
        may_need_more_memory=most * pixels > permitted,
    )


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode the first frame to BGR; ``None`` if the data is damaged.

    Raises:
        PictureTooLarge: it may have needed more memory than allowed. The header does not tell whether it is lossless,
            which takes three times as much.
    """
    codecs = importlib.import_module("imagecodecs")  # 20 MB of address space: only for those who need it
    encoded = b"".join(layout.parts)
    try:
        samples = codecs.jpegxl_decode(encoded, index=0, keeporientation=True, numthreads=1)
    except (RuntimeError, ValueError) as error:
        if layout.may_need_more_memory and _TRUNCATED not in str(error):
            raise PictureTooLarge(
                _too_large(layout.header.width, layout.header.height) + ", or it is damaged"
            ) from error
        return None
    header = header_of(encoded)
    if samples.shape == (1 + header.extra_channels, header.height, header.width):
        samples = samples[0]  # grey with planes that are no alpha
    return _bgr(_shallow(samples, header.bits))


def _shallow(samples: NDArray[np.uint8] | NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    """Samples of some bits as such of 8 bits."""
    if bits == _MAX_BITS:
        return eight_bits(samples)
    if bits >= 8:
        return np.asarray(samples >> bits - 8, np.uint8)
    levels = [round(255 * level / ((1 << bits) - 1)) for level in range(1 << bits)]
    return np.array(levels, np.uint8)[samples]


def _bgr(samples: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Grey or colours, with or without alpha, as BGR."""
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if channels in (1, 2):
        return np.asarray(
            cv2.cvtColor(np.ascontiguousarray(samples.reshape(*samples.shape[:2], -1)[..., 0]), cv2.COLOR_GRAY2BGR),
            np.uint8,
        )
    code = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGR}.get(channels)
    return None if code is None else np.asarray(cv2.cvtColor(samples, code), np.uint8)


def _too_large(width: int, height: int) -> str:
    return f"the JXL is {width}x{height} and needs too much memory to decode: reduce its size"
