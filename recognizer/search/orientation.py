"""Finds out which way up a picture and its faces are, and looks closer only where the first search leaves it open.

SCRFD finds upright faces with high scores. It also finds some faces that are upside down or on their side, with lower
scores and wrong landmarks. A face is therefore cut out and detected in four turns if its score is low or its landmarks
are on their side. Of the four scores, that of the right turn is clearly the highest: on LFW in 1,139 of 1,140 faces
(docs/evaluation.md).

A turn is the angle in degrees, clockwise, by which a picture must be turned to make it upright: 0, 90, 180 or 270.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from recognizer.detection.finder import TRACE_SCORE
from recognizer.faces import Faces

TURNS: Final = (0, 90, 180, 270)
SURE_SCORE = 0.78
"""A face of at least this score that is not on its side is upright: of LFW turned by 180 degrees 0.4 % reach it."""
DOUBTFUL_SCORE = 0.7
"""Beside such a face, and after looks that are not clear, only lower scores put a face in doubt."""
UPRIGHT_ROLL = 30.0
"""Largest roll of a face that is found as it should be, degrees."""
SURE_CLOSE_SCORE = 0.84
"""A face of at least this score in a look at it alone is upright; upside down none of 300 faces of LFW reaches 0.82."""
MIN_CLOSE_SCORE = 0.7
MIN_CLOSE_LEAD = 0.1
"""A face of that score, and that lead over its score upside down, is upright, too."""
MIN_SCORE = 0.4
"""Minimum score of a face that tells which way up a picture is."""
MIN_LEAD = 0.03
"""Minimum lead of the best turn's score over that of the picture as it is."""
CLEAR_SCORE = 0.6
"""Minimum score of a face that alone decides which way up a picture is."""
CLEAR_LEAD = 0.05
"""Minimum lead of its score over the best one in another turn."""
MAX_LOSS = 0.1
"""By how much the highest score of the search in the turn may lie below that of the picture as it is: upside-down faces
of LFW reach up to 0.03 more than upright ones, although looks at them alone are clear."""
OTHER_TURN_SCORE = 0.7
"""Minimum score, in a thorough search, of a face in another turn than the picture's. In the wrong turns of 80 pictures
of WIDER, 53 false faces reach 0.41, 3 reach 0.6 and none 0.7; upright faces of LFW reach 0.79 at their own place."""
MAX_SUSPECTS = 4
"""Maximum number of faces of a picture that are looked at closely."""
MIN_SUSPECT_HEIGHT = 32.0
"""Minimum height of such a face, pixels; beside an upright face also half the height of the largest face."""

_MIN_PICTURE_SIDE = 18
_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Look(Protocol):
    """Detects the faces of a picture quickly; see :meth:`recognizer.detection.finder.FaceFinder.look`."""

    def __call__(self, picture: NDArray[np.uint8], /, *, close: bool) -> float:
        """Return the highest score of a face, 0 if there is none.

        Args:
            picture: BGR ``(h, w, 3)``.
            close: whether the picture is a single face with its surroundings.
        """


def turned(picture: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Turn a picture ``(h, w, 3)`` clockwise by 0, 90, 180 or 270 degrees."""
    return picture if turn == 0 else np.asarray(cv2.rotate(picture, _CODES[turn]), np.uint8)


def boxes_turned_back(boxes: NDArray[np.float32], turn: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Map boxes ``(n, 4)``, xyxy, from the turned picture to the picture of ``shape`` (height, width)."""
    corners = _turned_back(boxes.reshape(-1, 2, 2), turn, shape[0], shape[1])
    return np.concatenate((corners.min(1), corners.max(1)), axis=1)


def points_turned_back(points: NDArray[np.float32], turn: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Map positions of pixels ``(..., 2)``, xy, from the turned picture to the picture of ``shape``."""
    return _turned_back(points, turn, shape[0] - 1, shape[1] - 1)


def faces_turned_back(faces: Faces, turn: int, shape: tuple[int, ...]) -> Faces:
    """Map faces from the turned picture to the picture of ``shape`` (height, width).

    Landmarks are positions of pixels, and edges of boxes lie between pixels: they differ by one when an axis is
    reversed.
    """
    if not turn:
        return faces
    landmarks = points_turned_back(faces.landmarks, turn, shape)
    return Faces(boxes_turned_back(faces.boxes, turn, shape), landmarks, faces.scores)


def objects_turned_back(objects: Detections, turn: int, shape: tuple[int, ...]) -> Detections:
    """Map objects from the turned picture to the picture of ``shape``; a turn drops their keypoints."""
    if not turn:
        return objects
    return replace(objects, boxes=boxes_turned_back(objects.boxes, turn, shape), keypoints=None, keypoint_scores=None)


def roll_of(faces: Faces) -> NDArray[np.float32]:
    """Roll of each face by its eyes, degrees in (-180, 180], positive clockwise; shape ``(n,)``."""
    across = faces.landmarks[:, 1] - faces.landmarks[:, 0]
    return np.asarray(np.degrees(np.arctan2(across[:, 1], across[:, 0])), np.float32)


class Orientation:
    """Finds out which way up pictures are.

    Args:
        look: detects faces in small pictures.
    """

    def __init__(self, look: Look) -> None:
        self._look = look

    def turns(
        self,
        picture: NDArray[np.uint8],
        faces: Faces,
        check: Callable[[], None] = lambda: None,
        *,
        trace: float = 1.0,
    ) -> list[int]:
        """List the turns in which a picture shows faces, never empty: first that with the most votes.

        Every face that is surely upright has a vote, and so has the first face in each other turn.

        Faces in doubt are looked at closely, each in up to four turns. If no face tells a turn, the whole picture is
        looked at in the four turns, unless it shows nothing that resembles a face, or one that is fairly certain.

        Args:
            picture: BGR ``(h, w, 3)``.
            faces: the faces found in the picture as it is.
            check: called between looks; the search ends with the exception that it raises.
            trace: the highest score of anything that resembles a face in the picture as it is.
        """
        rolls = roll_of(faces)
        votes = dict.fromkeys(TURNS, 0)
        votes[0] = int(_is_sure(faces).sum())
        for index in _suspects(faces):
            is_on_side = abs(rolls[index]) > UPRIGHT_ROLL
            expected = round(-float(rolls[index]) / 90) % 4 * 90 if is_on_side else 180
            if votes[expected]:  # the search in that turn will find it
                continue
            turn = self._turn_of_face(picture, faces.boxes[index], check, is_on_side=bool(is_on_side))
            if turn is not None:
                votes[turn] += 1
        if not any(votes.values()):
            seems_upright = (faces.scores >= DOUBTFUL_SCORE) & (np.abs(rolls) <= UPRIGHT_ROLL)
            if trace < TRACE_SCORE or seems_upright.any():
                return [0]
            return [self._turn_of_picture(picture, check, has_faces=len(faces) > 0)]
        return sorted((turn for turn in TURNS if votes[turn]), key=lambda turn: -votes[turn])

    def clear_turn(self, picture: NDArray[np.uint8], check: Callable[[], None] = lambda: None) -> int | None:
        """Return the turn of a picture by its clearest face; ``None`` if it shows none in one turn only.

        Args:
            picture: BGR ``(h, w, 3)``.
            check: see :meth:`turns`.
        """
        scores = {}
        for turn in TURNS:
            scores[turn] = self._look(turned(picture, turn), close=False)
            check()
        second, best = sorted(TURNS, key=lambda turn: scores[turn])[-2:]
        return best if scores[best] >= max(CLEAR_SCORE, scores[second] + CLEAR_LEAD) else None

    def _turn_of_face(
        self, picture: NDArray[np.uint8], box: NDArray[np.float32], check: Callable[[], None], *, is_on_side: bool
    ) -> int | None:
        """The turn of one face; ``None`` if it is not clear. An upright face usually takes one look, or two."""
        left, top, right, bottom = surroundings(picture.shape, box)
        region = picture[top:bottom, left:right]
        upright = self._look(region, close=True)
        if upright >= SURE_CLOSE_SCORE:
            return 0
        check()
        scores = {0: upright, 180: self._look(turned(region, 180), close=True)}
        check()
        if not is_on_side and upright >= max(MIN_CLOSE_SCORE, scores[180] + MIN_CLOSE_LEAD):
            return 0
        return self._best(region, scores, check, close=True)

    def _turn_of_picture(self, picture: NDArray[np.uint8], check: Callable[[], None], *, has_faces: bool) -> int:
        """The turn in which a face has the highest score; 0 if it is not clear."""
        if min(picture.shape[:2]) < _MIN_PICTURE_SIDE:
            return 0
        scores = {0: self._look(picture, close=False) if has_faces else 0.0}
        return self._best(picture, scores, check, close=False) or 0

    def _best(
        self, picture: NDArray[np.uint8], scores: dict[int, float], check: Callable[[], None], *, close: bool
    ) -> int | None:
        """The turn with the highest score, from the scores of some turns; ``None`` if it does not lead over 0."""
        for turn in TURNS:
            if turn not in scores:
                scores[turn] = self._look(turned(picture, turn), close=close)
                check()
        best = max(scores, key=lambda turn: scores[turn])
        return best if scores[best] >= max(MIN_SCORE, scores[0] + MIN_LEAD) else None


def is_upright(faces: Faces) -> bool:
    """Whether a picture's faces leave no doubt that all of them are upright."""
    return bool(_is_sure(faces).any()) and not _suspects(faces)


def _is_sure(faces: Faces) -> NDArray[np.bool_]:
    return (faces.scores >= SURE_SCORE) & (np.abs(roll_of(faces)) <= UPRIGHT_ROLL)


def _suspects(faces: Faces) -> list[int]:
    """Faces that may not be upright: those on their side first, then the largest."""
    rolls, is_sure = roll_of(faces), _is_sure(faces)
    heights = faces.boxes[:, 3] - faces.boxes[:, 1]
    in_doubt = ~is_sure & (heights >= MIN_SUSPECT_HEIGHT)
    if is_sure.any():  # beside an upright face, small and fairly certain ones are most probably upright, too
        in_doubt &= heights >= heights.max() / 2
        in_doubt &= (faces.scores < DOUBTFUL_SCORE) | (np.abs(rolls) > UPRIGHT_ROLL)
    order = np.lexsort((-heights, np.abs(rolls) <= UPRIGHT_ROLL))
    return [int(index) for index in order if in_doubt[index]][:MAX_SUSPECTS]


def surroundings(shape: tuple[int, ...], box: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """A square around a face, 1.9 times the longer side of its box, as far as a picture of ``shape`` reaches: xyxy."""
    half = 0.95 * float((box[2:] - box[:2]).max())
    x, y = (float(each) for each in (box[:2] + box[2:]) / 2)
    left, top = max(0, int(x - half)), max(0, int(y - half))
    return left, top, min(shape[1], max(int(x + half), left + 1)), min(shape[0], max(int(y + half), top + 1))


def _turned_back(points: NDArray[np.float32], turn: int, height: float, width: float) -> NDArray[np.float32]:
    x, y = points[..., 0], points[..., 1]
    match turn:
        case 90:
            return np.stack((y, height - x), axis=-1)
        case 180:
            return np.stack((width - x, height - y), axis=-1)
        case 270:
            return np.stack((width - y, x), axis=-1)
    return points
