"""Degrades pictures as cameras, prints and scans do, each time in the same way."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""BGR ``(h, w, 3)``."""
Landmarks = NDArray[np.float32]
"""``(5, 2)`` pixels: left eye, right eye, nose, left and right mouth corner, as the viewer sees them."""

_EYES_TO_MOUTH = 1.14
"""Distance from the eyes to the mouth of a frontal face, in distances between the eyes."""


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


def _moved(picture: Picture, length: int, degrees: float) -> Picture:
    """Blur along a line."""
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1
    middle = (length - 1) / 2
    turned = cv2.warpAffine(line, cv2.getRotationMatrix2D((middle, middle), degrees, 1), (length, length))
    return np.asarray(cv2.filter2D(picture, -1, turned / turned.sum()), np.uint8)


def _dithered(picture: Picture, side: int) -> Picture:
    """Black and white by Bayer's matrix of 8x8, with a longer side of ``side`` pixels."""
    matrix = np.zeros((1, 1))
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    scale = side / max(picture.shape)
    grey = cv2.cvtColor(
        cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), cv2.COLOR_BGR2GRAY
    )
    height, width = grey.shape
    thresholds = np.tile((matrix + 0.5) * 4, (height // 8 + 1, width // 8 + 1))[:height, :width]
    return np.asarray(cv2.cvtColor(np.where(grey > thresholds, 255, 0).astype(np.uint8), cv2.COLOR_GRAY2BGR), np.uint8)


def _covered(picture: Picture, landmarks: Landmarks, *parts: NDArray[np.float64], level: int) -> Picture:
    """Paint polygons over a face.

    Args:
        picture: the picture.
        landmarks: of the face.
        parts: corners ``(n, 2)``: right and down from the middle between the eyes, in distances between eyes.
        level: grey level.
    """
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    down = (mouth - eyes) / _EYES_TO_MOUTH
    right = np.array([down[1], -down[0]])
    covered = picture.copy()
    for part in parts:
        corners = eyes + part[:, :1] * right + part[:, 1:] * down
        cv2.fillPoly(covered, [np.round(corners).astype(np.int32)], (level, level, level), cv2.LINE_AA)
    return covered


def _bar(left: float, top: float, right: float, bottom: float) -> NDArray[np.float64]:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _oval(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, 40)
    return np.column_stack((x + width / 2 * np.cos(angles), y + height / 2 * np.sin(angles)))


_EYE_BAR = _bar(-1.2, -0.3, 1.2, 0.3)
_MOUTH_BAR = _bar(-0.75, 0.8, 0.75, 1.55)
_MASK = np.array([(-1.1, 0.35), (0, 0.2), (1.1, 0.35), (1.0, 1.3), (0.5, 1.8), (-0.5, 1.8), (-1.0, 1.3)])
_SUNGLASSES = (_oval(-0.5, 0.03, 0.85, 0.6), _oval(0.5, 0.03, 0.85, 0.6), _bar(-0.4, -0.1, 0.4, 0.0))

DEGRADATIONS: dict[str, Callable[[Picture, Landmarks], Picture]] = {
    "none": lambda picture, _: picture,
    "night": lambda picture, _: _night(picture),
    "noise 30": lambda picture, _: _noisy(picture, 30),
    "noise 60": lambda picture, _: _noisy(picture, 60),
    "overexposed": lambda picture, _: np.clip(picture * 2.5 + 30, 0, 255).astype(np.uint8),
    "motion blur 13": lambda picture, _: np.asarray(cv2.blur(picture, (13, 1)), np.uint8),
    "motion blur 19": lambda picture, _: np.asarray(cv2.blur(picture, (19, 1)), np.uint8),
    "motion blur 19 at 30 degrees": lambda picture, _: _moved(picture, 19, 30),
    "blur 4": lambda picture, _: np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.uint8),
    "negative": lambda picture, _: np.asarray(255 - picture, np.uint8),
    "halftone": lambda picture, _: _halftone(picture),
    "dithered 430": lambda picture, _: _dithered(picture, 430),
    "JPEG 5": lambda picture, _: np.asarray(
        cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 5])[1], cv2.IMREAD_COLOR), np.uint8
    ),
    "black bar over the eyes": lambda picture, at: _covered(picture, at, _EYE_BAR, level=20),
    "white bar over the mouth": lambda picture, at: _covered(picture, at, _MOUTH_BAR, level=235),
    "mask": lambda picture, at: _covered(picture, at, _MASK, level=200),
    "sunglasses": lambda picture, at: _covered(picture, at, *_SUNGLASSES, level=25),
}
"""Degradations by name. Lengths are in pixels, noise in levels of 255."""
