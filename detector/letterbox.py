"""Fits a picture into a YOLO model's input and maps detections back to the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.resampling import resized

PADDING = 114
"""Grey level of the padding that YOLO models are trained with."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies in the model's input: resized to ``inner``, centred in ``outer``, the rest padded.

    The geometry is that of ``LetterBox`` in Ultralytics 8.4. Coordinates are mapped back with the scale of each side
    after rounding to whole pixels, as in ``scale_boxes``. ``scale_boxes`` however derives inner size and padding from
    the outer size, and is off by about a pixel if a side was rounded down to a multiple of the stride. A picture that
    shrinks to less than half is averaged first, unlike in Ultralytics (:mod:`facet.runtime.resampling`).

    Attributes:
        picture: ``(height, width)`` of the picture, pixels.
        inner: ``(height, width)`` of the resized picture, pixels, at least 1.
        outer: ``(height, width)`` of the model's input, pixels.
        top: rows of padding above the picture; the remaining rows are below.
        left: columns of padding left of the picture; the remaining columns are on the right.
    """

    picture: tuple[int, int]
    inner: tuple[int, int]
    outer: tuple[int, int]
    top: int
    left: int

    @property
    def scale(self) -> NDArray[np.float32]:
        """Input pixels per picture pixel, float32 ``(x, y)``."""
        return np.array(
            [self.inner[1] / self.picture[1], self.inner[0] / self.picture[0]],
            np.float32,
        )

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and pad a picture to the model's input, shape ``(*outer, 3)``."""
        height, width = self.inner
        if self.inner != self.picture:
            picture = resized(picture, width, height)
        if self.inner != self.outer:
            bottom, right = self.outer[0] - height - self.top, self.outer[1] - width - self.left
            grey = (PADDING, PADDING, PADDING)
            picture = np.asarray(
                cv2.copyMakeBorder(picture, self.top, bottom, self.left, right, cv2.BORDER_CONSTANT, value=grey),
                np.uint8,
            )
        return picture

    def boxes_to_picture(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes ``(n, 4)``, xyxy, from input to picture pixels and clip them to the picture."""
        height, width = self.picture
        corners = self.points_to_picture(boxes.reshape(-1, 2, 2))
        return np.clip(corners, 0, np.array([width, height], np.float32)).reshape(-1, 4)

    def points_to_picture(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points ``(..., 2)``, xy, from input to picture pixels.

        They are not clipped, because landmarks of a face at the border may lie outside the picture.
        """
        return (points - np.array([self.left, self.top], np.float32)) / self.scale


def fit(
    picture: tuple[int, int],
    target: tuple[int, int],
    *,
    sides: Sequence[int] | None = None,
) -> Letterbox:
    """Fit a picture into a model's input and keep its aspect ratio.

    Args:
        picture: ``(height, width)`` of the picture, each at least 1.
        target: ``(height, width)`` that the picture is scaled up or down to fit into.
        sides: input lengths, ascending, of a model with dynamic height and width. Each side is padded to the first
            that holds it, or to ``target`` if none does. ``None``: pad to ``target``.
    """
    ratio = min(target[0] / picture[0], target[1] / picture[1])
    height, width = (max(round(side * ratio), 1) for side in picture)
    outer = target
    if sides is not None:
        outer = (_shortest_side(height, target[0], sides), _shortest_side(width, target[1], sides))
    # As in Ultralytics, which rounds half of the padding - 0.1 and + 0.1: an odd row goes below.
    top = round((outer[0] - height) / 2 - 0.1)
    left = round((outer[1] - width) / 2 - 0.1)
    return Letterbox(picture, (height, width), outer, top, left)


def _shortest_side(length: int, target: int, sides: Sequence[int]) -> int:
    return next((side for side in sides if length <= side <= target), target)
