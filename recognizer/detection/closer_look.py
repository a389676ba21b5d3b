"""Says which parts of a picture deserve a closer look: the quarters in which the first look saw small faces.

Where there are small faces there usually are more, which the first look misses because they are too small for the
network. Large faces alone cost nothing. On WIDER FACE a closer look finds one in five of the faces of 20 to 40 pixels
that were missed (docs/evaluation.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recognizer.detection.tiles import Tile
from recognizer.faces import Faces

SMALL = 24.0
"""A face below this height asks for a closer look, pixels of the first look's frame."""
CLOSE_ENOUGH = 40.0
"""Height from which a person around a face says more than a closer look, pixels of the first look's frame."""
LARGEST = 64.0
"""Height from which a face of the closer look is dropped, pixels of the first look's frame: that saw it well."""
MIN_RATIO = 1.2
"""Minimum ratio of the two scales: below it, a closer look shows hardly more."""
MAX_RATIO = 1.9
"""Maximum ratio of the two scales: from 2 on, two halves do not cover the picture."""
_ROOM = 2.0
"""How many times the height of a small face the quarters overlap by: a face needs some surroundings to be found."""


def tiles(width: int, height: int, faces: Faces, *, look_scale: float, scale: float) -> list[Tile]:
    """Return the quarters of a picture (or halves of a narrow one) that show a small face.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
        faces: what the first look is certain of.
        look_scale: pixels of the first look's frame per pixel.
        scale: pixels of the closer look's frame per pixel.
    """
    small = faces.of_height(0, SMALL / look_scale)
    if scale < MIN_RATIO * look_scale or not len(small):
        return []
    frame, overlap = max(width, height) * look_scale / scale, _ROOM * SMALL / look_scale
    found = []
    for top, bottom in _parts(height, frame, overlap):
        for left, right in _parts(width, frame, overlap):
            tile = Tile(left, top, right, bottom, scale)
            if _centred_in(tile, small).any():
                found.append(tile)
    return found


def seen_well(faces: Faces, tiles: Sequence[Tile], *, look_scale: float) -> NDArray[np.bool_]:
    """Whether each face is small, and its centre in a part of the picture that was looked at closer, ``(n,)``.

    Args:
        faces: in the picture's coordinates.
        tiles: the parts that were looked at closer.
        look_scale: see :func:`tiles`.
    """
    heights = faces.boxes[:, 3] - faces.boxes[:, 1]
    inside = np.zeros(len(faces), np.bool_)
    for tile in tiles:
        inside |= _centred_in(tile, faces)
    return inside & (heights * look_scale < CLOSE_ENOUGH)


def _centred_in(tile: Tile, faces: Faces) -> NDArray[np.bool_]:
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    return np.asarray(((centres >= (tile.left, tile.top)) & (centres < (tile.right, tile.bottom))).all(1), np.bool_)


def _parts(length: int, frame: float, overlap: float) -> list[tuple[int, int]]:
    """The whole length if it fits into a frame of the closer look, otherwise two halves that overlap."""
    if length <= frame:
        return [(0, length)]
    half = min(int(frame), round((length + overlap) / 2))
    return [(0, half), (length - half, length)]
