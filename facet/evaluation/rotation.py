"""Turns pictures before they are sent, to measure how well turned pictures are understood."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facet.client.pictures import PictureSource
from facet.runtime.pictures import PictureError, decode

_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_MAX_PIXELS = 200_000_000


def rotated(file: Path, degrees: int) -> PictureSource:
    """A picture that is turned clockwise by 0, 90, 180 or 270 degrees, without loss.

    A picture that cannot be decoded stays as it is: the server says why.

    Raises:
        OSError: the file cannot be read.
    """
    if not degrees:
        return file
    data = file.read_bytes()
    try:
        return np.asarray(cv2.rotate(decode(data, max_pixels=_MAX_PIXELS), _CODES[degrees]), np.uint8)
    except PictureError:
        return data


def box_rotated_back(
    box: tuple[float, float, float, float], degrees: int, width: float, height: float
) -> tuple[float, float, float, float]:
    """Map a box x1, y1, x2, y2 from a turned picture of ``width`` and ``height`` pixels to the picture as it was."""
    x1, y1, x2, y2 = box
    match degrees:
        case 90:
            return y1, width - x2, y2, width - x1
        case 180:
            return width - x2, height - y2, width - x1, height - y1
        case 270:
            return height - y2, x1, height - y1, x2
    return box
