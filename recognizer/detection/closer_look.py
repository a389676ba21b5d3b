"""Says which parts of a picture deserve a closer look: the quarters in which the first look saw small faces.

Where there are small faces there usually are more, which the first look misses because they are too small for the
network. Large faces alone cost nothing. On WIDER FACE a closer look finds one in five of the faces of 20 to 40 pixels
that were missed (docs/evaluation.md).
"""

from __future__ import annotations

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
    heights = faces.boxes[:, 3] - faces.boxes[:, 1]
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:])[heights * look_scale < SMALL] / 2
    if scale < MIN_RATIO * look_scale or not len(centres):
        return []
    frame, overlap = max(width, height) * look_scale / scale, _ROOM * SMALL / look_scale
    found = []
    for top, bottom in _parts(height, frame, overlap):
        for left, right in _parts(width, frame, overlap):
            if ((centres >= (left, top)) & (centres < (right, bottom))).all(1).any():
                found.append(Tile(left, top, right, bottom, scale))
    return found


def _parts(length: int, frame: float, overlap: float) -> list[tuple[int, int]]:
    """The whole length if it fits into a frame of the closer look, otherwise two halves that overlap."""
    if length <= frame:
        return [(0, length)]
    half = min(int(frame), round((length + overlap) / 2))
    return [(0, half), (length - half, length)]
