"""Shrinks pictures without aliasing.

``cv2.resize`` and ``cv2.warpAffine`` interpolate between the four pixels around a point. If a picture shrinks by more
than about 2, they skip the pixels between, and noise or the dots of a print come through as patterns that are not in
the picture. Here a picture is first halved: OpenCV averages 2x2 pixels in a fast loop, several times as fast as its
general ``INTER_AREA``.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

HALVE_FROM = 2.0
"""Minimum ratio of source to target pixels at which a picture is halved first. Halving from 1.5 on helps 1-bit pictures
a little more, but takes detail from clean faces of just that size."""


def power_of_two(ratio: float) -> int:
    """The factor by which :func:`halved` shrinks: the largest power of two up to the ratio, at least 1."""
    return 1 << max(0, math.frexp(ratio)[1] - 1)


def halved(picture: NDArray[np.uint8], ratio: float) -> NDArray[np.uint8]:
    """Halve a picture until fewer than :data:`HALVE_FROM` of its pixels fall on a target pixel, along a side.

    Args:
        picture: BGR ``(h, w, 3)``.
        ratio: source pixels per target pixel, along a side.

    Returns:
        the picture itself, or a smaller one that shows the same area. An odd side is halved and rounded down, so the
        two sides may have slightly different scales. Sides that are multiples of :func:`power_of_two` shrink by
        exactly this factor.
    """
    while ratio >= HALVE_FROM and min(picture.shape[:2]) >= 2:
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        ratio /= 2
    return picture


def resized(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize a picture, BGR ``(h, w, 3)``, to a width and height of at least 1 pixel."""
    ratio = min(picture.shape[1] / width, picture.shape[0] / height)
    return np.asarray(cv2.resize(halved(picture, ratio), (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
