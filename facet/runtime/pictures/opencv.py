"""OpenCV's decoders."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.errors import InvalidPicture
from facet.runtime.pictures.header import Layout

_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""By the scale of the decoding."""


def imdecode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode what the walk kept of a picture to BGR; ``None`` if the data is damaged."""
    data = layout.parts[0] if len(layout.parts) == 1 else b"".join(layout.parts)
    try:
        flags = _FLAGS[layout.scale] | cv2.IMREAD_IGNORE_ORIENTATION
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise InvalidPicture(f"the {layout.header.format} cannot be decoded") from error
    return None if picture is None else np.asarray(picture, np.uint8)


def deep_imdecode(encoded: bytes) -> NDArray[np.uint16] | None:
    """Decode a picture with samples of 16 bits to BGR of 16 bits; ``None`` if OpenCV cannot."""
    try:
        picture = cv2.imdecode(
            np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_ANYDEPTH
        )
    except cv2.error:
        return None
    return np.asarray(picture, np.uint16) if picture is not None and picture.dtype == np.uint16 else None
