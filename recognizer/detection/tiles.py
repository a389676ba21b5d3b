"""Divides a large picture into tiles, so that faces that are small in it are large enough for the detector."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from recognizer.faces import Faces

LEAST_HEIGHT = 27
"""Height of the smallest face that SCRFD reliably finds, pixels of its input: in the tiles of three large pictures it
found 143 of 144 faces of LFW with this height, and 175 of 192 with 24 pixels."""
MAX_TILES = 128
"""Of one picture in one turn. An inference takes 10 to 30 ms, so a turn takes a few seconds at the most."""
_RATIO = 3.0
"""The largest ratio of the scales of two levels. A larger one needs fewer levels, and tiles that overlap more."""
_ROOM = 1.5
"""How many times the largest face of a level its tiles overlap by: a face needs some surroundings to be found."""
_EDGE = 0.1
"""A box that is so near to the inner edge of a tile, as a share of its height, may be cut off by it: the detector ends
the box of half a face a little within the tile."""
_MAX_OVERLAP = _ROOM * LEAST_HEIGHT * _RATIO
_WORTHWHILE = 1.1


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture to search.

    Attributes:
        left: column of its first pixel.
        top: row of its first pixel.
        right: column behind its last pixel.
        bottom: row behind its last pixel.
        scale: pixels of the detector's input per pixel.
    """

    left: int
    top: int
    right: int
    bottom: int
    scale: float

    @property
    def longest(self) -> float:
        """The longer side in pixels of the detector's input."""
        return max(self.right - self.left, self.bottom - self.top) * self.scale

    def whole(self, faces: Faces, width: int, height: int) -> Faces:
        """The faces that no inner edge cuts off, in the picture's coordinates.

        Another tile, or the level before, shows the others whole.

        Args:
            faces: in the tile's coordinates.
            width: of the picture, pixels.
            height: of the picture, pixels.
        """
        faces = faces.translated(self.left, self.top)
        low = [self.left if self.left else -np.inf, self.top if self.top else -np.inf]
        high = [self.right if self.right < width else np.inf, self.bottom if self.bottom < height else np.inf]
        edge = _EDGE * (faces.boxes[:, 3:] - faces.boxes[:, 1:2])
        inside = (faces.boxes[:, :2] > low + edge).all(1) & (faces.boxes[:, 2:] < high - edge).all(1)
        return faces.take(np.flatnonzero(inside))


@dataclass(frozen=True, slots=True)
class Plan:
    """How a picture is searched in tiles.

    Attributes:
        tiles: of all levels, the coarsest first; none if the look at the whole picture is as fine.
        scale: pixels of the detector's input per pixel, of the finest level, or of the look at the whole picture.
    """

    tiles: tuple[Tile, ...]
    scale: float

    @property
    def least_height(self) -> float:
        """Height of the smallest face that is reliably found, pixels of the picture."""
        return LEAST_HEIGHT / self.scale


def plan(width: int, height: int, *, look_scale: float, wanted_scale: float, side: int) -> Plan:
    """Divide a picture into squares at one or more scales.

    Each level is at most three times as fine as the one before; the first is the look at the whole picture. Its tiles
    overlap by one and a half times the largest face that the level before may miss, so that every such face is whole in
    one of them. If there are more than :data:`MAX_TILES`, the finest scale is reduced.

    Args:
        width: pixels.
        height: pixels.
        look_scale: pixels of the detector's input per pixel in the look at the whole picture.
        wanted_scale: the finest such scale.
        side: of the detector's input, pixels.
    """
    scale = wanted_scale
    if side < 2 * _MAX_OVERLAP:  # tiles would consist of little but their overlap
        return Plan((), look_scale)
    while scale > _WORTHWHILE * look_scale:
        if tiles := _levels(width, height, look_scale, scale, side):
            return Plan(tiles, scale)
        scale *= 0.95
    return Plan((), look_scale)


def _levels(width: int, height: int, look_scale: float, finest: float, side: int) -> tuple[Tile, ...]:
    """The tiles of all levels; none if there are more than :data:`MAX_TILES`."""
    count = math.ceil(math.log(finest / look_scale, _RATIO))
    ratio = (finest / look_scale) ** (1 / count)
    overlap = _ROOM * LEAST_HEIGHT * ratio
    tiles: list[Tile] = []
    for level in range(1, count + 1):
        scale = look_scale * ratio**level
        columns, rows = (_parts(length, side / scale, overlap / scale) for length in (width, height))
        if len(tiles) + len(columns) * len(rows) > MAX_TILES:
            return ()
        tiles += [Tile(left, top, right, bottom, scale) for top, bottom in rows for left, right in columns]
    return tuple(tiles)


def _parts(length: int, side: float, overlap: float) -> list[tuple[int, int]]:
    """Divide a length into the fewest parts of at most this side that overlap by so much, at even distances."""
    if length <= side:
        return [(0, length)]
    count = math.ceil((length - overlap) / (side - overlap))
    step = (length - side) / (count - 1)
    return [(round(at * step), min(length, round(at * step) + math.floor(side))) for at in range(count)]
