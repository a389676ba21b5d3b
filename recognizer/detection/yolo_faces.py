"""Faces from a YOLO model that detects them with five landmarks, instead of SCRFD."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detector.yolo import FACE_CLASS, Detections, YoloDetector
from facet.runtime.models import UnsupportedModel
from recognizer.faces import Faces

_LARGE = 10_000


def faces_of(
    detections: Detections, class_names: tuple[str, ...], *, min_score: float = 0.0, min_height: float = 0.0
) -> Faces:
    """Select the faces among the detections of a model with five face landmarks.

    Args:
        detections: in descending order of score.
        class_names: the classes of the model.
        min_score: minimum score of a face, [0, 1].
        min_height: minimum height of a face, pixels.
    """
    if detections.keypoints is None:
        return Faces.empty()
    is_face = [class_names[class_id].lower() == FACE_CLASS for class_id in detections.class_ids]
    is_tall = detections.boxes[:, 3] - detections.boxes[:, 1] >= min_height
    selected = np.flatnonzero(np.array(is_face, np.bool_) & is_tall & (detections.scores >= min_score))
    return Faces(detections.boxes[selected], detections.keypoints[selected], detections.scores[selected])


class YoloFaceFinder:
    """Finds faces with a YOLO face model.

    Args:
        detector: the model.
        min_height: minimum height of a face, pixels.

    Raises:
        UnsupportedModel: the model does not detect faces with five landmarks.
    """

    def __init__(self, detector: YoloDetector, *, min_height: float = 0.0) -> None:
        if not detector.has_face_landmarks:
            raise UnsupportedModel(
                f"expected a YOLO model that detects faces with five landmarks, found {detector.head_kind} "
                f"with classes {', '.join(detector.class_names[:5])}"
            )
        self._detector = detector
        self._min_height = min_height

    @property
    def side(self) -> int:
        """Longer side of the model's input, pixels."""
        return max(self._detector.input_size((_LARGE, _LARGE)))

    def find_in_tile(
        self, tile: NDArray[np.uint8], _longest: float, min_score: float | None = None, *, scale: float = 1
    ) -> Faces:
        """Find the faces in a part of a picture; see :meth:`recognizer.detection.finder.FaceFinder.find_in_tile`."""
        return self.find(tile, np.empty((0, 4), np.float32), min_score=min_score, scale=scale)

    def find(
        self,
        picture: NDArray[np.uint8],
        _persons: NDArray[np.float32],
        _check: Callable[[], None] = lambda: None,
        min_score: float | None = None,
        *,
        scale: float = 1,
    ) -> Faces:
        """Find the faces of a picture in one pass; see :meth:`recognizer.detection.finder.FaceFinder.find`.

        Args:
            picture: upright BGR ``(h, w, 3)``.
            min_score: only faces with a score above this are returned, [0, 1]; the detector's own if ``None``.
            scale: pixels of the full picture per pixel of this one; the minimum height is in full pixels.
        """
        detections = self._detector.detect(picture, min_score=min_score)
        return faces_of(detections, self._detector.class_names, min_height=self._min_height / scale)
