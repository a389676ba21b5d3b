"""Draws boxes and names on pictures."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.terminal.pictures.lettering import is_drawable, lettered
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Box

_MATCH, _UNKNOWN, _REFUSED, _INK = (80, 170, 40), (150, 150, 150), (60, 60, 60), (255, 255, 255)
_UNDECIDED = (40, 170, 220)
_COLOURS = {pb.DECISION_MATCH: _MATCH, pb.DECISION_REFUSED: _REFUSED}
_TRACK_COLOURS = {pb.TRACK_DECISION_IDENTIFIED: _MATCH, pb.TRACK_DECISION_UNDECIDED: _UNDECIDED}

_Label = tuple[str, ...]
"""The parts of a label, each ordered by itself: a name that runs to the left does not move the number."""

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
        text: _Label = ()
        if track.decision == pb.TRACK_DECISION_IDENTIFIED:
            text = drawable_name(track.display_name, track.subject_id), f"{track.similarity:.2f}"
        if track.HasField("person_box"):
            _draw_box(canvas, _corners(track.person_box), () if track.HasField("face_box") else text, colour, line)
        if track.HasField("face_box"):
            _draw_box(canvas, _corners(track.face_box), text, colour, line)
    return canvas


def drawable_name(display_name: str, subject_id: str) -> str:
    """The name to draw: the id if no fonts have all characters of the display name, but those of the id."""
    if display_name and not is_drawable(display_name) and is_drawable(subject_id):
        return subject_id
    return display_name or subject_id


def without_fonts(names: Iterable[str]) -> str:
    """One line for people if a name cannot be drawn because no font has all its characters; else empty."""
    name = next((name for name in names if name and not is_drawable(name)), "")
    if not name:
        return ""
    return (
        f"no font here has all characters of {name!r}, so that its id or boxes are drawn: install fonts for the system "
        "(Debian: fonts-noto-core, fonts-noto-cjk), or the extra cjk for Chinese, Japanese and Korean"
    )


def _label(face: pb.IdentifiedFace) -> _Label:
    """The name and similarity of a match; empty for any other face."""
    if face.identification.decision != pb.DECISION_MATCH:
        return ()
    best = face.identification.candidates[0]
    return drawable_name(best.display_name, best.subject_id), f"{best.similarity:.2f}"


def _draw_face(canvas: NDArray[np.uint8], face: pb.IdentifiedFace, scale: float, line: int) -> None:
    colour = _COLOURS.get(face.identification.decision, _UNKNOWN)
    _draw_box(canvas, _corners(face.face.box, scale), _label(face), colour, line)


def _draw_box(canvas: NDArray[np.uint8], corners: _Corners, text: _Label, colour: tuple[int, ...], line: int) -> None:
    """Draw a box. With a text it is bolder, and the text stands above it, or below if there is no room."""
    left, top, right, bottom = corners
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, 2 * line if text else line, cv2.LINE_AA)
    if not text:
        return
    size = max(14, round(max(canvas.shape[:2]) / 50))
    pad, gap = size // 4, size // 3
    name, *rest = text
    pieces = [lettered(each, size) for each in rest]
    room = canvas.shape[1] - 2 * pad - sum(piece.shape[1] + gap for piece in pieces)
    pieces.insert(0, _fitting(name, size, room))
    width = sum(piece.shape[1] for piece in pieces) + gap * (len(pieces) - 1)
    height = max(piece.shape[0] for piece in pieces)
    start = int(np.clip(left, 0, max(0, canvas.shape[1] - width - 2 * pad)))
    base = top if top > height + 2 * pad else bottom + height + 2 * pad
    plate = (start, base - height - 2 * pad), (start + width + 2 * pad, base)
    cv2.rectangle(canvas, *plate, colour, cv2.FILLED)
    x = start + pad
    for piece in pieces:
        _blend(canvas, piece, x, base - pad - piece.shape[0])
        x += piece.shape[1] + gap


def _fitting(text: str, size: int, width: int) -> NDArray[np.uint8]:
    """Letter a text; if it is wider than ``width`` pixels, its end gives way to an ellipsis."""
    whole = lettered(text, size)
    if whole.shape[1] <= width:
        return whole
    shortened = [f"{text[:kept]}\u2026" for kept in range(len(text))]
    fitting = bisect_right(shortened, width, key=lambda each: lettered(each, size).shape[1])
    return lettered(shortened[max(0, fitting - 1)], size)


def _blend(canvas: NDArray[np.uint8], coverage: NDArray[np.uint8], x: int, y: int) -> None:
    """Draw in the colour of ink where there is coverage; what lies outside the canvas is cut off."""
    if y + coverage.shape[0] <= 0 or x + coverage.shape[1] <= 0:
        return
    top, left = max(0, -y), max(0, -x)
    place = canvas[max(0, y) : y + coverage.shape[0], max(0, x) : x + coverage.shape[1]]
    share = coverage[top : top + place.shape[0], left : left + place.shape[1], None] / 255.0
    place[:] = np.round(place * (1 - share) + np.array(_INK) * share).astype(np.uint8)


def _corners(box: Box, scale: float = 1.0) -> _Corners:
    return round(box.x1 * scale), round(box.y1 * scale), round(box.x2 * scale), round(box.y2 * scale)


def _line(canvas: NDArray[np.uint8]) -> int:
    """Width of lines, pixels."""
    return max(1, round(int(max(canvas.shape[:2])) / 600))
