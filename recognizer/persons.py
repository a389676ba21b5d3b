"""Which face belongs to which person, and where in a person to look for a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recognizer.faces import Faces

MIN_SHARE_INSIDE = 0.8
MAX_DEPTH = 0.5
MIN_HEIGHT_SHARE = 0.04


def faces_of_persons(faces: Faces, persons: NDArray[np.float32]) -> NDArray[np.intp]:
    """Give each face the person whose head it may be; every person has at most one face.

    A face is a person's where four fifths of it lie inside the person, its centre in the upper half, and it is
    at least a twenty-fifth of the person's height. Among several the one nearest the middle of the top wins.
    Faces choose by falling score.

    Args:
        faces: by falling score.
        persons: boxes ``(m, 4)``, xyxy pixels.

    Returns:
        for each face an index into ``persons``, or -1.
    """
    owners = np.full(len(faces), -1, np.intp)
    if not len(faces) or not len(persons):
        return owners
    cost = _cost(faces.boxes[:, None], persons[None])
    for face in range(len(faces)):
        person = int(np.argmin(cost[face]))
        if np.isfinite(cost[face, person]):
            owners[face] = person
            cost[:, person] = np.inf
    return owners


def head_region(person: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The part of a picture where a person's head should be: x1, y1, x2, y2 in whole pixels inside the picture.

    A square about the top of the person, as wide as the person or three fifths of its height.

    Args:
        person: box ``(4,)``, xyxy pixels; part of it lies in the picture.
        shape: height and width of the picture.
    """
    x1, y1, x2, y2 = (float(edge) for edge in person)
    width, height = x2 - x1, y2 - y1
    side = 1.1 * max(width, min(0.6 * height, 2 * width))
    middle = (x1 + x2) / 2
    left, top = int(max(0, middle - side / 2)), int(max(0, y1 - 0.1 * side))
    right, bottom = int(min(shape[1], middle + side / 2)), int(min(shape[0], y1 + 0.95 * side))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _cost(face: NDArray[np.float32], person: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of a face's centre from the middle of a person's top edge, in sides of the person; inf: not its."""
    face_size = face[..., 2:] - face[..., :2]
    person_size = np.maximum(person[..., 2:] - person[..., :2], 1e-6)
    centre = (face[..., :2] + face[..., 2:]) / 2
    overlap = np.minimum(face[..., 2:], person[..., 2:]) - np.maximum(face[..., :2], person[..., :2])
    inside = np.clip(overlap, 0, None).prod(-1) >= MIN_SHARE_INSIDE * face_size.prod(-1)
    depth = (centre[..., 1] - person[..., 1]) / person_size[..., 1]
    aside = np.abs(centre[..., 0] - (person[..., 0] + person[..., 2]) / 2) / person_size[..., 0]
    large = face_size[..., 1] >= MIN_HEIGHT_SHARE * person_size[..., 1]
    return np.where(inside & large & (depth <= MAX_DEPTH), aside + depth, np.inf).astype(np.float32)
