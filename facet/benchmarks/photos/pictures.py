"""Large photos to measure with: one large face, many small ones, or a person's face at a place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.serving.pictures import decoded

CROWD_FACES = 24

_CROWD_HEIGHT = 140
"""Pixels of the portrait, whose face has about two thirds of it."""
_NOISE = 4.0
"""Standard deviation of a sensor's noise, grey levels. It makes a JPEG as large as those of phones: entropy decoding
takes time by its bytes."""
_QUALITY = 90
_ROWS = 256
"""Noise is added to so many rows at a time, because it is computed in floats."""


def photo(portrait: bytes, width: int, height: int) -> bytes:
    """A JPEG of this size with one large face: the enlarged portrait with a sensor's noise.

    Args:
        portrait: an encoded picture of one face.
        width: pixels.
        height: pixels.
    """
    face = decoded(portrait)
    columns = height * face.shape[1] // face.shape[0]
    canvas = np.full((height, width, 3), 120, np.uint8)
    left = (width - columns) // 2
    canvas[:, left : left + columns] = cv2.resize(face, (columns, height), interpolation=cv2.INTER_CUBIC)
    add_noise(canvas, _NOISE, np.random.default_rng(0))
    return cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def crowd(portrait: bytes, width: int, height: int) -> bytes:
    """A JPEG of this size with the portrait at 24 random places of a grid.

    Args:
        portrait: an encoded picture of one face.
        width: pixels.
        height: pixels.
    """
    places = np.random.default_rng(1)
    face = decoded(portrait)
    size = (_CROWD_HEIGHT * face.shape[1] // face.shape[0], _CROWD_HEIGHT)
    small = cv2.resize(face, size, interpolation=cv2.INTER_AREA)
    canvas = np.full((height, width, 3), 120, np.uint8)
    rows = max(1, round((CROWD_FACES * height / width) ** 0.5))
    columns = -(-CROWD_FACES // rows)
    for at in range(CROWD_FACES):
        cell_height, cell_width = height // rows, width // columns
        top = at // columns * cell_height + int(places.integers(cell_height - size[1]))
        left = at % columns * cell_width + int(places.integers(cell_width - size[0]))
        canvas[top : top + size[1], left : left + size[0]] = small
    return cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def add_noise(canvas: NDArray[np.uint8], deviation: float, rng: np.random.Generator) -> None:
    """Add a sensor's noise to a picture, BGR ``(h, w, 3)``.

    Args:
        canvas: is changed.
        deviation: standard deviation, grey levels.
        rng: draws it.
    """
    for row in range(0, len(canvas), _ROWS):
        part = canvas[row : row + _ROWS]
        noise = rng.standard_normal(part.shape, np.float32) * np.float32(deviation)
        part[:] = np.clip(part + noise, 0, 255).astype(np.uint8)
