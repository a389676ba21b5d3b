"""Raw rows of pixels."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.errors import InvalidPicture, PictureTooLarge


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
