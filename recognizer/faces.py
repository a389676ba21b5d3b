"""Faces that were found in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces of one picture, by falling score.

    Attributes:
        boxes: float32 ``(n, 4)``, xyxy pixels of the upright picture; may reach past its edge.
        landmarks: float32 ``(n, 5, 2)``, pixels: left eye, right eye, nose, left and right mouth corner as the
            viewer sees them.
        scores: float32 ``(n,)`` in [0, 1].
    """

    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: NDArray[np.intp] | Sequence[int]) -> Faces:
        """The faces at these positions, in this order."""
        chosen = np.asarray(index, np.intp)
        return Faces(self.boxes[chosen], self.landmarks[chosen], self.scores[chosen])

    def moved(self, x: float, y: float) -> Faces:
        """The same faces in a frame whose origin lies at ``(-x, -y)``."""
        return Faces(
            self.boxes + np.array([x, y, x, y], np.float32), self.landmarks + np.array([x, y], np.float32), self.scores
        )

    def scaled(self, x: float, y: float) -> Faces:
        """The same faces in a frame that is wider by the factor ``x`` and higher by ``y``."""
        return Faces(
            self.boxes * np.array([x, y, x, y], np.float32), self.landmarks * np.array([x, y], np.float32), self.scores
        )

    @staticmethod
    def none() -> Faces:
        """No faces."""
        return Faces(np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32))

    @staticmethod
    def joined(parts: Sequence[Faces]) -> Faces:
        """All faces of several findings, by falling score."""
        if not parts:
            return Faces.none()
        scores = np.concatenate([part.scores for part in parts])
        faces = Faces(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.landmarks for part in parts]),
            scores,
        )
        return faces.take(np.argsort(-scores, kind="stable"))
