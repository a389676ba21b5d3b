"""Faces from a YOLO model that gives five landmarks with them, in the place of SCRFD."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detector.yolo import FACE_CLASS, Detections, YoloDetector
from facet.runtime.models import UnsupportedModel
from recognizer.faces import Faces


def faces_of(
    detections: Detections, class_names: tuple[str, ...], *, min_score: float = 0.0, min_height: float = 0.0
) -> Faces:
    """The faces among the detections of a model with five face landmarks.

    Args:
        detections: by falling score.
        class_names: of the model.
        min_score: faces below are not answered, [0, 1].
        min_height: faces lower than this are not answered, pixels.
    """
    if detections.keypoints is None:
        return Faces.none()
    is_face = [class_names[class_id].lower() == FACE_CLASS for class_id in detections.class_ids]
    tall = detections.boxes[:, 3] - detections.boxes[:, 1] >= min_height
    chosen = np.flatnonzero(np.array(is_face, np.bool_) & tall & (detections.scores >= min_score))
    return Faces(detections.boxes[chosen], detections.keypoints[chosen], detections.scores[chosen])


class YoloFaceFinder:
    """Finds faces with a YOLO face model alone.

    Args:
        detector: the model; answers no face below its own least score.
        min_height: faces lower than this are not answered, pixels.

    Raises:
        UnsupportedModel: the model gives no faces with five landmarks.
    """

    def __init__(self, detector: YoloDetector, *, min_height: float = 0.0) -> None:
        if not detector.has_face_landmarks:
            raise UnsupportedModel(
                f"expected a YOLO model of faces with five landmarks; found {detector.head_kind} of the classes "
                f"{', '.join(detector.class_names[:5])}"
            )
        self._detector = detector
        self._min_height = min_height

    def find(
        self,
        picture: NDArray[np.uint8],
        _persons: NDArray[np.float32],
        _check: Callable[[], None] = lambda: None,
        min_score: float | None = None,
    ) -> Faces:
        """Find the faces of an upright BGR picture ``(h, w, 3)`` in one look; persons do not matter to this model.

        Args:
            picture: the picture.
            min_score: only faces with a score above this, [0, 1]; the detector's own where ``None``.
        """
        found = self._detector.detect(picture, min_score=min_score)
        return faces_of(found, self._detector.class_names, min_height=self._min_height)
