"""Small pictures as data URIs, for the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures import PictureError, decode

SIDE = 150
"""Length of the longer side in pixels; legible in print, too."""
_QUALITY = 85
_MAX_PIXELS = 200_000_000
_RED = (32, 0, 176)


def thumbnail(file: Path, box: Sequence[float] | None = None) -> str | None:
    """Encode a small copy of a picture as a JPEG data URI; ``None`` if the picture cannot be read.

    Args:
        file: the picture.
        box: xyxy pixels; if given, crop to the surroundings of the box and draw it.
    """
    try:
        picture = decode(file.read_bytes(), max_pixels=_MAX_PIXELS)
    except (OSError, PictureError):
        return None
    if box is not None:
        picture = _crop_around(picture, box)
    scale = SIDE / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _crop_around(picture: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    left, top, right, bottom = box
    margin = max(right - left, bottom - top, 16.0)
    x1, y1 = max(0, int(left - margin)), max(0, int(top - margin))
    x2, y2 = min(width, int(right + margin)), min(height, int(bottom + margin))
    if x2 <= x1 or y2 <= y1:
        return picture
    crop = np.ascontiguousarray(picture[y1:y2, x1:x2])
    corners = (round(left) - x1, round(top) - y1), (round(right) - x1, round(bottom) - y1)
    cv2.rectangle(crop, *corners, _RED, max(1, round(max(crop.shape[:2]) / SIDE * 1.5)))
    return crop
