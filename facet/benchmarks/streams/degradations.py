"""What spoils pictures before they are enrolled: a dark and noisy room, noise, motion, and a negative."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_GAIN, _DARK_NOISE = 0.12, 6.0
_NOISE = 60.0
_MOTION = 19
"""Pixels over which motion blurs."""


class Degradation(StrEnum):
    """How a picture is spoilt."""

    NONE = "none"
    DARK = "dark"
    NOISE = "noise"
    MOTION = "motion"
    NEGATIVE = "negative"


def degraded(picture: NDArray[np.uint8], how: Degradation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Spoil a picture, BGR ``(h, w, 3)``."""
    if how is Degradation.DARK:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) * _GAIN + rng.normal(0, _DARK_NOISE, picture.shape[:2])
        return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if how is Degradation.NOISE:
        return np.clip(picture + rng.normal(0, _NOISE, picture.shape), 0, 255).astype(np.uint8)
    if how is Degradation.MOTION:
        return np.asarray(cv2.filter2D(picture, -1, np.full((1, _MOTION), 1 / _MOTION)), np.uint8)
    return np.asarray(255 - picture, np.uint8) if how is Degradation.NEGATIVE else picture


def spoilt(path: Path, how: Degradation, rng: np.random.Generator) -> bytes:
    """Spoil a file; returns a PNG.

    Raises:
        OSError: the picture cannot be read.
    """
    picture = cv2.imread(str(path))
    if picture is None:
        raise OSError(f"cannot read {path}")
    return cv2.imencode(".png", degraded(np.asarray(picture, np.uint8), how, rng))[1].tobytes()
