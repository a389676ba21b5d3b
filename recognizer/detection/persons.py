"""Assigns faces to persons, and locates the head of a person without a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recognizer.faces import Faces

MIN_SHARE_INSIDE = 0.8
"""Minimum share of a face's area inside the person."""
MAX_DEPTH = 0.5
"""Maximum distance of a face's centre below the person's top edge, in heights of the person."""
MIN_HEIGHT_SHARE = 0.04
"""Minimum height of a face, in heights of the person."""


def faces_of_persons(faces: Faces, persons: NDArray[np.float32]) -> NDArray[np.intp]:
    """Assign to each face the person whose head it may be; a person gets at most one face.

    A face may be a person's if at least four fifths of its area lie inside the person, its centre lies in the upper
    half, and it has at least a twenty-fifth of the person's height. Of several such persons it gets the one whose
    middle of the top edge is nearest. Faces with higher scores are assigned first.

    Args:
        faces: in descending order of score.
        persons: boxes ``(m, 4)``, xyxy pixels.

    Returns:
        for each face an index into ``persons``, or -1; shape ``(n,)``.
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
    """Return where a person's head should be: x1, y1, x2, y2 in whole pixels inside the picture.

    The region is a square at the top of the person. Its side is 1.1 times the person's width or three fifths of its
    height, whichever is more, but at most 2.2 widths.

    Args:
        person: box ``(4,)``, xyxy pixels; overlaps the picture.
        shape: height and width of the picture, pixels.
    """
    x1, y1, x2, y2 = (float(edge) for edge in person)
    width, height = x2 - x1, y2 - y1
    side = 1.1 * max(width, min(0.6 * height, 2 * width))
    middle = (x1 + x2) / 2
    left, top = int(max(0, middle - side / 2)), int(max(0, y1 - 0.1 * side))
    right, bottom = int(min(shape[1], middle + side / 2)), int(min(shape[0], y1 + 0.95 * side))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _cost(face: NDArray[np.float32], person: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of a face's centre from the middle of a person's top edge, relative to the person's size.

    It is infinite if the face cannot be the person's.
    """
    face_size = face[..., 2:] - face[..., :2]
    person_size = np.maximum(person[..., 2:] - person[..., :2], 1e-6)
    centre = (face[..., :2] + face[..., 2:]) / 2
    overlap = np.minimum(face[..., 2:], person[..., 2:]) - np.maximum(face[..., :2], person[..., :2])
    is_inside = np.clip(overlap, 0, None).prod(-1) >= MIN_SHARE_INSIDE * face_size.prod(-1)
    depth = (centre[..., 1] - person[..., 1]) / person_size[..., 1]
    offset = np.abs(centre[..., 0] - (person[..., 0] + person[..., 2]) / 2) / person_size[..., 0]
    is_large = face_size[..., 1] >= MIN_HEIGHT_SHARE * person_size[..., 1]
    return np.where(is_inside & is_large & (depth <= MAX_DEPTH), offset + depth, np.inf).astype(np.float32)
