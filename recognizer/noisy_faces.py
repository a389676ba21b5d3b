"""Aligns noisy faces, and faces printed in dots, from fewer and smoother pixels.

SCRFD takes the dots of a print, or strong noise, for edges and misplaces landmarks, and the crop shows the dots. If the
picture has more pixels of the face than the crop needs, averaging them removes most of both. So the face is shrunk to
the size of its crop, and detected again there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.alignment import align, similarity_transform
from recognizer.faces import Faces
from recognizer.quality import Quality
from recognizer.search.orientation import faces_turned_back, surroundings, turned

MIN_NOISE: Final = 0.05
"""Minimum :attr:`recognizer.quality.Quality.noise` of a noisy face."""
MIN_RATIO: Final = 1.1
"""Minimum pixels of the picture per pixel of the crop, along a side, at which averaging them helps."""
MIN_SCORE: Final = 0.15
"""Minimum score of the face when it is detected again."""
MOST: Final = 16
"""Maximum number of faces of a picture that are detected again. One takes about a quarter of the time of embedding."""
BLUR: Final = 1.0
"""Standard deviation of the blur after shrinking, pixels of the crop: averaging leaves some of the dots' pattern."""


class SmoothAlignment:
    """Aligns the noisy faces of one picture again, at most :data:`MOST`.

    Args:
        find: finds the faces of at least a score in a small picture, BGR ``(h, w, 3)``.
    """

    def __init__(self, find: Callable[[NDArray[np.uint8], float], Faces]) -> None:
        self._find = find
        self._left = MOST

    def helps(self, quality: Quality, face: Faces) -> bool:
        """Whether to align a face again: it is noisy, and the picture has more pixels of it than the crop needs.

        Args:
            quality: its quality.
            face: the face alone, in pixels of the picture.
        """
        return self._left > 0 and quality.noise >= MIN_NOISE and _ratio(face) >= MIN_RATIO

    def align(
        self, picture: NDArray[np.uint8], face: Faces, turn: int, otherwise: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Shrink a face to the size of its crop, detect it there, and align it.

        Args:
            picture: BGR ``(h, w, 3)``.
            face: the face alone, in pixels of the picture.
            turn: the turn in which the face was found, see :mod:`recognizer.search.orientation`.
            otherwise: what to return if the face is not found again.

        Returns:
            the crop, BGR ``(112, 112, 3)``.
        """
        self._left -= 1
        box = face.boxes[0]
        left, top, right, bottom = surroundings(picture.shape, box)
        region, ratio = picture[top:bottom, left:right], _ratio(face)
        if not region.size:
            return otherwise
        height, width = (max(1, round(side / ratio)) for side in region.shape[:2])
        small = cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA)
        smooth = np.asarray(cv2.GaussianBlur(small, (0, 0), BLUR), np.uint8)
        found = faces_turned_back(self._find(turned(smooth, turn), MIN_SCORE), turn, smooth.shape)
        boxes = found.scaled(region.shape[1] / width, region.shape[0] / height).translated(left, top).boxes
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = np.flatnonzero(((centres >= box[:2]) & (centres <= box[2:])).all(axis=1))
        return align(smooth, found.landmarks[inside[0]]) if len(inside) else otherwise


def _ratio(face: Faces) -> float:
    """Pixels of the picture per pixel of the crop, along a side."""
    return 1 / max(float(np.hypot(*similarity_transform(face.landmarks[0])[0, :2])), 1e-6)
