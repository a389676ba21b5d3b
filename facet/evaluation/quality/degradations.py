"""Degrades pictures as cameras, prints and scans do, each time in the same way."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""BGR ``(h, w, 3)``."""


def _night(picture: Picture) -> Picture:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(_noisy(np.asarray(grey * 0.12), 6), cv2.COLOR_GRAY2BGR), np.uint8)


def _noisy(picture: NDArray[np.float64] | Picture, sigma: float) -> Picture:
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _halftone(picture: Picture, cell: float = 7) -> Picture:
    """Dots at 45 degrees, in a picture three times as large."""
    enlarged = cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    grey = cv2.cvtColor(enlarged, cv2.COLOR_BGR2GRAY) / 255
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    turn = np.exp(0.25j * np.pi) * (columns + 1j * rows) * 2 * np.pi / cell
    dots = (grey > (np.cos(turn.real) + np.cos(turn.imag)) / 4 + 0.5).astype(np.uint8) * 255
    return np.asarray(cv2.cvtColor(cv2.GaussianBlur(dots, (0, 0), 0.7), cv2.COLOR_GRAY2BGR), np.uint8)


DEGRADATIONS: dict[str, Callable[[Picture], Picture]] = {
    "none": lambda picture: picture,
    "night": _night,
    "noise 30": lambda picture: _noisy(picture, 30),
    "noise 60": lambda picture: _noisy(picture, 60),
    "overexposed": lambda picture: np.clip(picture * 2.5 + 30, 0, 255).astype(np.uint8),
    "motion blur 13": lambda picture: np.asarray(cv2.blur(picture, (13, 1)), np.uint8),
    "motion blur 19": lambda picture: np.asarray(cv2.blur(picture, (19, 1)), np.uint8),
    "blur 4": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.uint8),
    "negative": lambda picture: np.asarray(255 - picture, np.uint8),
    "halftone": _halftone,
}
"""Degradations by name. Lengths are in pixels, noise in levels of 255."""
