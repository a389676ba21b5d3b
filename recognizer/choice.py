"""Which of several faces is meant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import FaceNotFound, SeveralFaces
from recognizer.faces import Faces

MIN_IOU = 0.3


def only(faces: Faces) -> int:
    """The position of the only face.

    Raises:
        FaceNotFound: there is none.
        SeveralFaces: there are several.
    """
    _need_one(faces)
    if len(faces) > 1:
        raise SeveralFaces(len(faces))
    return 0


def largest(faces: Faces) -> int:
    """The position of the face whose box has the largest area.

    Raises:
        FaceNotFound: there is none.
    """
    _need_one(faces)
    return int(np.argmax(_areas(faces.boxes)))


def central(faces: Faces, shape: tuple[int, ...]) -> int:
    """The position of the face that is large and near the middle, by InsightFace's rule (``SCRFD.detect``).

    The largest of area - 2 * squared distance from the centre of the picture.

    Args:
        faces: the faces.
        shape: height and width of the picture, pixels.

    Raises:
        FaceNotFound: there is none.
    """
    _need_one(faces)
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    offsets = centres - np.array([shape[1] // 2, shape[0] // 2], np.float32)
    return int(np.argmax(_areas(faces.boxes) - 2 * np.square(offsets).sum(1)))


def nearest(faces: Faces, box: NDArray[np.float32]) -> int:
    """The position of the face that overlaps a box ``(4,)`` most.

    Raises:
        FaceNotFound: none overlaps it by an IoU of at least :data:`MIN_IOU`.
    """
    _need_one(faces)
    corners = np.minimum(faces.boxes[:, 2:], box[2:]) - np.maximum(faces.boxes[:, :2], box[:2])
    overlap = np.clip(corners, 0, None).prod(1)
    iou = overlap / (_areas(faces.boxes) + _areas(box[None]) - overlap)
    best = int(np.argmax(iou))
    if iou[best] < MIN_IOU:
        raise FaceNotFound(f"none of the {len(faces)} faces of the picture lies in the box")
    return best


def _need_one(faces: Faces) -> None:
    if not len(faces):
        raise FaceNotFound("no face was found in the picture")


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1), np.float32)
