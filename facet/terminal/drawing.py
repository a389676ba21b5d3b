"""Draws boxes and names on pictures."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Box

_MATCH, _UNKNOWN, _REFUSED, _INK = (80, 170, 40), (150, 150, 150), (60, 60, 60), (255, 255, 255)
_UNDECIDED = (40, 170, 220)
_COLOURS = {pb.DECISION_MATCH: _MATCH, pb.DECISION_REFUSED: _REFUSED}
_TRACK_COLOURS = {pb.TRACK_DECISION_IDENTIFIED: _MATCH, pb.TRACK_DECISION_UNDECIDED: _UNDECIDED}
_FONT = cv2.FontFace("sans")

_Corners = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


def draw_faces(picture: NDArray[np.uint8], faces: list[pb.IdentifiedFace]) -> NDArray[np.uint8]:
    """Draw a box for every face: green with name and similarity for a match, dark if refused, grey otherwise.

    Args:
        picture: upright BGR ``(h, w, 3)``; not changed.
        faces: the faces that Identify returned.

    Returns:
        a copy, enlarged if names would not be readable.
    """
    scale = max(1.0, 640 / max(picture.shape[:2]))
    canvas = np.array(cv2.resize(picture, None, fx=scale, fy=scale), np.uint8)
    line = _line(canvas)
    matches_last = sorted(faces, key=lambda face: face.identification.decision == pb.DECISION_MATCH)
    for face in matches_last:
        _draw_face(canvas, face, scale, line)
    return canvas


def draw_tracks(picture: NDArray[np.uint8], tracks: Iterable[pb.Track]) -> NDArray[np.uint8]:
    """Draw the boxes of every track: green with name and similarity if identified, amber if undecided, else grey.

    Args:
        picture: BGR ``(h, w, 3)`` as it was sent; not changed.
        tracks: the tracks that IdentifyStream returned for it.

    Returns:
        a copy.
    """
    canvas = picture.copy()
    line = _line(canvas)
    for track in sorted(tracks, key=lambda track: track.decision == pb.TRACK_DECISION_IDENTIFIED):
        colour = _TRACK_COLOURS.get(track.decision, _UNKNOWN)
        text = ""
        if track.decision == pb.TRACK_DECISION_IDENTIFIED:
            text = f"{track.display_name or track.subject_id} {track.similarity:.2f}"
        if track.HasField("person_box"):
            _draw_box(canvas, _corners(track.person_box), "" if track.HasField("face_box") else text, colour, line)
        if track.HasField("face_box"):
            _draw_box(canvas, _corners(track.face_box), text, colour, line)
    return canvas


def label(face: pb.IdentifiedFace) -> str:
    """The name and similarity of a match; empty for any other face."""
    if face.identification.decision != pb.DECISION_MATCH:
        return ""
    best = face.identification.candidates[0]
    return f"{best.display_name or best.subject_id} {best.similarity:.2f}"


def _draw_face(canvas: NDArray[np.uint8], face: pb.IdentifiedFace, scale: float, line: int) -> None:
    colour = _COLOURS.get(face.identification.decision, _UNKNOWN)
    _draw_box(canvas, _corners(face.face.box, scale), label(face), colour, line)


def _draw_box(canvas: NDArray[np.uint8], corners: _Corners, text: str, colour: tuple[int, ...], line: int) -> None:
    """Draw a box. With a text it is bolder, and the text stands above it, or below if there is no room."""
    left, top, right, bottom = corners
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, 2 * line if text else line, cv2.LINE_AA)
    if not text:
        return
    size = max(14, round(max(canvas.shape[:2]) / 50))
    x, y, width, height = cv2.getTextSize(canvas.shape[1::-1], text, (0, 0), _FONT, size)
    pad = size // 4
    start = int(np.clip(left, 0, max(0, canvas.shape[1] - width - 2 * pad)))
    base = top if top > height + 2 * pad else bottom + height + 2 * pad
    plate = (start, base - height - 2 * pad), (start + width + 2 * pad, base)
    cv2.rectangle(canvas, *plate, colour, cv2.FILLED)
    cv2.putText(canvas, text, (start + pad - x, base - pad - height - y), _INK, _FONT, size)


def _corners(box: Box, scale: float = 1.0) -> _Corners:
    return round(box.x1 * scale), round(box.y1 * scale), round(box.x2 * scale), round(box.y2 * scale)


def _line(canvas: NDArray[np.uint8]) -> int:
    """Width of lines, pixels."""
    return max(1, round(int(max(canvas.shape[:2])) / 600))
