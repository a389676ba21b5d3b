"""Detected faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of one picture, in descending order of score.

    Attributes:
        boxes: float32 ``(n, 4)``, xyxy pixels of the upright picture; may extend past its edges.
        landmarks: float32 ``(n, 5, 2)``, xy pixels: left eye, right eye, nose, left and right mouth corner, as the
            viewer sees them.
        scores: float32 ``(n,)``, [0, 1].
    """

    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, indices: NDArray[np.intp] | Sequence[int]) -> Faces:
        """Select faces by index, in the order of the indices."""
        indices = np.asarray(indices, np.intp)
        return Faces(self.boxes[indices], self.landmarks[indices], self.scores[indices])

    def of_height(self, least: float, below: float = math.inf) -> Faces:
        """Select faces whose box is at least so high, and less than ``below``, pixels."""
        heights = self.boxes[:, 3] - self.boxes[:, 1]
        return self.take(np.flatnonzero((heights >= least) & (heights < below)))

    def translated(self, x: float, y: float) -> Faces:
        """Add an offset in pixels to all coordinates."""
        return Faces(
            self.boxes + np.array([x, y, x, y], np.float32), self.landmarks + np.array([x, y], np.float32), self.scores
        )

    def scaled(self, x: float, y: float) -> Faces:
        """Multiply all coordinates by a factor per axis."""
        return Faces(
            self.boxes * np.array([x, y, x, y], np.float32), self.landmarks * np.array([x, y], np.float32), self.scores
        )

    @staticmethod
    def empty() -> Faces:
        """Return no faces."""
        return Faces(np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32))

    @staticmethod
    def merged(parts: Sequence[Faces]) -> Faces:
        """Combine the results of several searches, in descending order of score; duplicates stay."""
        if not parts:
            return Faces.empty()
        scores = np.concatenate([part.scores for part in parts])
        faces = Faces(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.landmarks for part in parts]),
            scores,
        )
        return faces.take(np.argsort(-scores, kind="stable"))
