"""Chooses one of the faces of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import FaceNotFound, SeveralFaces
from recognizer.faces import Faces

MIN_IOU = 0.3
"""Minimum IoU of a face and the box that selects it."""


def only(faces: Faces) -> int:
    """Return the index of the only face.

    Raises:
        FaceNotFound: there is no face.
        SeveralFaces: there are several.
    """
    _require_any(faces)
    if len(faces) > 1:
        raise SeveralFaces(len(faces))
    return 0


def largest(faces: Faces) -> int:
    """Return the index of the face with the largest box.

    Raises:
        FaceNotFound: there is no face.
    """
    _require_any(faces)
    return int(np.argmax(_areas(faces.boxes)))


def central(faces: Faces, shape: tuple[int, ...]) -> int:
    """Return the index of the face that is large and central, by InsightFace's rule (``SCRFD.detect``).

    It maximises area - 2 * squared distance from the centre of the picture, in pixels.

    Args:
        faces: the faces.
        shape: height and width of the picture, pixels.

    Raises:
        FaceNotFound: there is no face.
    """
    _require_any(faces)
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    offsets = centres - np.array([shape[1] // 2, shape[0] // 2], np.float32)
    return int(np.argmax(_areas(faces.boxes) - 2 * np.square(offsets).sum(1)))


def nearest(faces: Faces, box: NDArray[np.float32]) -> int:
    """Return the index of the face that overlaps a box ``(4,)``, xyxy pixels, most.

    Raises:
        FaceNotFound: no face has an IoU of at least :data:`MIN_IOU` with the box.
    """
    _require_any(faces)
    corners = np.minimum(faces.boxes[:, 2:], box[2:]) - np.maximum(faces.boxes[:, :2], box[:2])
    overlap = np.clip(corners, 0, None).prod(1)
    iou = overlap / (_areas(faces.boxes) + _areas(box[None]) - overlap)
    best = int(np.argmax(iou))
    if iou[best] < MIN_IOU:
        raise FaceNotFound(f"the box matches none of the {len(faces)} faces in the picture")
    return best


def _require_any(faces: Faces) -> None:
    if not len(faces):
        raise FaceNotFound("the picture shows no face")


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1), np.float32)
