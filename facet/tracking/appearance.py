"""A cheap appearance of a face: tells whether the crop of a track still shows the face that it showed before."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Appearance: TypeAlias = NDArray[np.float32]
"""Float32 ``(d,)``, unit length, or zeros for a flat crop."""

_MARGIN = 16
"""Pixels left out on each side of the crop: hair and background."""
_SIDE = 24
_SMOOTHING = 2.0
"""Standard deviation of the blur that is subtracted, in pixels of the small picture: it removes the shading."""


def appearance(crop: NDArray[np.uint8]) -> Appearance:
    """Describe an aligned face, BGR ``(112, 112, 3)``, by a small picture of it without its shading.

    It takes some 0.03 ms, a hundredth of an embedding.
    """
    inner = crop[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    small = cv2.resize(inner, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), _SMOOTHING)
    detail -= detail.mean()
    return np.asarray(detail.ravel() / max(float(np.linalg.norm(detail)), 1e-6), np.float32)


def resemblance(one: Appearance | None, other: Appearance | None) -> float:
    """Correlation of two appearances, in [-1, 1]; -1 if one is missing."""
    if one is None or other is None:
        return -1.0
    return float(one @ other)
