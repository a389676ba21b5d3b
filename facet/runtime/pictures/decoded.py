"""A decoded picture, which may have fewer pixels than its file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Placement:
    """Where decoded pixels are in the full picture.

    A pixel covers ``scale`` by ``scale`` pixels of the full picture. The outermost may reach over an edge, because a
    side is divided by the scale and rounded up.

    Attributes:
        width: of the full picture, upright, pixels.
        height: of the full picture, upright, pixels.
        scale: full pixels per decoded pixel, at least 1.
        left: column of the full picture at which the first decoded column begins; less than the scale, and negative if
            that column reaches over the edge.
        top: row of the full picture at which the first decoded row begins; likewise.
    """

    width: int
    height: int
    scale: int = 1
    left: int = 0
    top: int = 0


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """Pixels, and where they are in the full picture.

    Attributes:
        pixels: upright BGR, ``(h, w, 3)``.
        placement: the size of the full picture, and the scale.
    """

    pixels: NDArray[np.uint8]
    placement: Placement

    @staticmethod
    def full(pixels: NDArray[np.uint8]) -> DecodedPicture:
        """A picture at its full size, upright BGR ``(h, w, 3)``."""
        return DecodedPicture(pixels, Placement(pixels.shape[1], pixels.shape[0]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the full picture."""
        return self.placement.height, self.placement.width, 3

    def without_pixels(self) -> DecodedPicture:
        """The same placement, and no pixels."""
        return DecodedPicture(np.empty((0, 0, 3), np.uint8), self.placement)
