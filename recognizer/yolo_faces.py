"""Faces from a YOLO model that gives five landmarks with them, in the place of SCRFD."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.yolo import FACE_CLASS, Detections, YoloDetector
from recognizer.faces import Faces
from runtime.models import UnsupportedModel


def faces_of(detections: Detections, class_names: tuple[str, ...]) -> Faces:
    """The faces among the detections of a model with five face landmarks."""
    if detections.keypoints is None:
        return Faces.none()
    is_face = [class_names[class_id].lower() == FACE_CLASS for class_id in detections.class_ids]
    chosen = np.flatnonzero(is_face)
    return Faces(detections.boxes[chosen], detections.keypoints[chosen], detections.scores[chosen])


class YoloFaceFinder:
    """Finds faces with a YOLO face model alone.

    Raises:
        UnsupportedModel: the model gives no faces with five landmarks.
    """

    def __init__(self, detector: YoloDetector) -> None:
        if not detector.has_face_landmarks:
            raise UnsupportedModel(
                f"expected a YOLO model of faces with five landmarks; found {detector.head_kind} of the classes "
                f"{', '.join(detector.class_names[:5])}"
            )
        self._detector = detector

    def find(self, picture: NDArray[np.uint8], _persons: NDArray[np.float32]) -> Faces:
        """Find the faces of an upright BGR picture ``(h, w, 3)``; persons do not matter to this model."""
        return faces_of(self._detector.detect(picture), self._detector.class_names)
