"""Boxes and names onto pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.v1 import recognition_service_pb2 as pb

_MATCH, _UNKNOWN, _REFUSED, _INK = (80, 170, 40), (150, 150, 150), (60, 60, 60), (255, 255, 255)
_COLOURS = {pb.DECISION_MATCH: _MATCH, pb.DECISION_REFUSED: _REFUSED}
_FONT = cv2.FontFace("sans")


def draw_faces(picture: NDArray[np.uint8], faces: list[pb.IdentifiedFace]) -> NDArray[np.uint8]:
    """Draw every face's box: green with the name and similarity for a match, grey for anybody else, dark where refused.

    Args:
        picture: upright BGR ``(h, w, 3)``; not changed.
        faces: what Identify answered.

    Returns:
        a copy, enlarged if it was too small to read names on.
    """
    scale = max(1.0, 640 / max(picture.shape[:2]))
    canvas = np.array(cv2.resize(picture, None, fx=scale, fy=scale), np.uint8)
    line = max(1, round(max(canvas.shape[:2]) / 600))
    matches_last = sorted(faces, key=lambda face: face.identification.decision == pb.DECISION_MATCH)
    for face in matches_last:
        _draw_face(canvas, face, scale, line)
    return canvas


def label(face: pb.IdentifiedFace) -> str:
    """Who it is, for people: the name and the similarity, or nothing for anybody else."""
    if face.identification.decision != pb.DECISION_MATCH:
        return ""
    best = face.identification.candidates[0]
    return f"{best.display_name or best.subject_id} {best.similarity:.2f}"


def _draw_face(canvas: NDArray[np.uint8], face: pb.IdentifiedFace, scale: float, line: int) -> None:
    box = face.face.box
    top_left = round(box.x1 * scale), round(box.y1 * scale)
    bottom_right = round(box.x2 * scale), round(box.y2 * scale)
    text = label(face)
    colour = _COLOURS.get(face.identification.decision, _UNKNOWN)
    cv2.rectangle(canvas, top_left, bottom_right, colour, 2 * line if text else line, cv2.LINE_AA)
    if not text:
        return
    size = max(14, round(max(canvas.shape[:2]) / 50))
    x, y, width, height = cv2.getTextSize(canvas.shape[1::-1], text, (0, 0), _FONT, size)
    pad = size // 4
    left = int(np.clip(top_left[0], 0, max(0, canvas.shape[1] - width - 2 * pad)))
    bottom = top_left[1] if top_left[1] > height + 2 * pad else bottom_right[1] + height + 2 * pad
    corners = (left, bottom - height - 2 * pad), (left + width + 2 * pad, bottom)
    cv2.rectangle(canvas, *corners, colour, cv2.FILLED)
    cv2.putText(canvas, text, (left + pad - x, bottom - pad - height - y), _INK, _FONT, size)
