"""How a picture is fitted into a YOLO model's input, and how what was found there is mapped back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

PADDING = 114
"""The grey around the picture that YOLO models are trained with."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies in the input: resized to ``inner``, centred in ``outer``, the rest padded.

    The geometry is that of ``LetterBox`` in Ultralytics 8.4. The way back divides by the scale that each side
    was really resized by, after rounding to whole pixels, as ``scale_boxes`` there; but ``scale_boxes``
    guesses inner size and padding again from the outer size, which misses by a pixel or so where a side was
    rounded down to a multiple of the stride.

    Attributes:
        picture: ``(height, width)`` of the picture, pixels.
        inner: ``(height, width)`` that the picture is resized to, pixels, at least 1.
        outer: ``(height, width)`` of the model's input, pixels.
        top: rows of padding above; below is the rest.
        left: columns of padding at the left; at the right is the rest.
    """

    picture: tuple[int, int]
    inner: tuple[int, int]
    outer: tuple[int, int]
    top: int
    left: int

    @property
    def scale(self) -> NDArray[np.float32]:
        """Pixels of the input for a pixel of the picture, ``(x, y)``."""
        return np.array(
            [self.inner[1] / self.picture[1], self.inner[0] / self.picture[0]],
            np.float32,
        )

    def lay(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture as the model is to see it, shape ``(*outer, 3)``."""
        height, width = self.inner
        if self.inner != self.picture:
            picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        if self.inner != self.outer:
            bottom, right = self.outer[0] - height - self.top, self.outer[1] - width - self.left
            grey = (PADDING, PADDING, PADDING)
            picture = np.asarray(
                cv2.copyMakeBorder(picture, self.top, bottom, self.left, right, cv2.BORDER_CONSTANT, value=grey),
                np.uint8,
            )
        return picture

    def boxes_to_picture(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map ``xyxy`` boxes, shape ``(n, 4)``, from input to picture pixels and clip them to the picture."""
        height, width = self.picture
        corners = self.points_to_picture(boxes.reshape(-1, 2, 2))
        return np.clip(corners, 0, np.array([width, height], np.float32)).reshape(-1, 4)

    def points_to_picture(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points, shape ``(..., 2)`` of x and y, from input to picture pixels.

        They are not clipped: a face at the border is aligned by landmarks that may lie outside the picture.
        """
        return (points - np.array([self.left, self.top], np.float32)) / self.scale


def fit(
    picture: tuple[int, int],
    target: tuple[int, int],
    *,
    sides: Sequence[int] | None = None,
) -> Letterbox:
    """Fit a picture into a model's input, its proportions kept.

    Args:
        picture: ``(height, width)`` of the picture, each at least 1.
        target: ``(height, width)`` that it is scaled up or down to fit into.
        sides: pad each side only to the first of these lengths that holds it: for a model whose input is open in height
            and width. Rising; a side that is longer than all is padded to ``target``. ``None``: pad to ``target``.
    """
    ratio = min(target[0] / picture[0], target[1] / picture[1])
    height, width = (max(round(side * ratio), 1) for side in picture)
    outer = target
    if sides is not None:
        outer = (_first_to_hold(height, target[0], sides), _first_to_hold(width, target[1], sides))
    # The reference halves the padding and rounds it down by 0.1 and up by 0.1: an odd row goes below.
    top = round((outer[0] - height) / 2 - 0.1)
    left = round((outer[1] - width) / 2 - 0.1)
    return Letterbox(picture, (height, width), outer, top, left)


def _first_to_hold(length: int, target: int, sides: Sequence[int]) -> int:
    return next((side for side in sides if length <= side <= target), target)
