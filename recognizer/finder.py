"""The faces of a whole picture: a fine and a coarse look, a second look inside persons, and their context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.faces import Faces
from recognizer.persons import faces_of_persons, head_region
from recognizer.scrfd import ScrfdDetector, suppress

CELL = 32
"""Frames are multiples of the coarsest stride."""
SMALL_FRAMES = (256, 320, 512)
"""Sides of the square frames for small pictures and coarse looks, pixels."""
PROPORTIONS = (9 / 16, 2 / 3, 3 / 4, 1)
"""Shorter to longer side of the frames at full size: runtimes compile a graph for each size that they meet."""
LEAST_CANDIDATE = 0.02
"""What the detector itself believes less than this is noise, of which it has more than can be looked through."""


@dataclass(frozen=True, slots=True)
class FinderSettings:
    """How hard to look, measured on WIDER FACE (docs/evaluation.md).

    Attributes:
        fine_side: longest side of the frame for the first look, pixels. More finds smaller faces and costs more.
        coarse_side: longest side of the frame for the look at faces that fill the fine one; SCRFD was trained on
            faces of up to about half its frame, and places landmarks best on smaller ones.
        max_enlargement: a small picture is enlarged by no more than this: it gains no detail, and the landmarks
            of enlarged faces are worse.
        min_score: faces below are not answered, [0, 1].
        min_height: faces lower than this are not answered, pixels: nobody can be recognised by them, and each
            would cost an embedding.
        context: a face where a person's head should be is believed more: its score moves by this share of its
            distance to 1, [0, 1).
        second_look_side: side of the square frame for a person without a face, pixels; 0 switches it off.
        second_look_min_height: persons below are not looked at again, pixels.
        second_look_max: at most so many persons a picture, the surest first.
    """

    fine_side: int = 800
    coarse_side: int = 256
    max_enlargement: float = 1.25
    min_score: float = 0.41
    min_height: float = 18.0
    context: float = 0.1
    second_look_side: int = 224
    second_look_min_height: float = 40.0
    second_look_max: int = 16

    @property
    def candidate_score(self) -> float:
        """The least score that context can lift to ``min_score``."""
        return self.candidates_for(self.min_score)

    def candidates_for(self, min_score: float) -> float:
        """The least score that context can lift to another ``min_score``, but :data:`LEAST_CANDIDATE` at least."""
        return max(LEAST_CANDIDATE, (min_score - self.context) / (1 - self.context))


class FaceFinder:
    """Finds faces with SCRFD over the whole frame, then looks again inside persons that showed none.

    Args:
        detector: the network; its own least score does not matter.
        settings: how hard to look.
    """

    def __init__(self, detector: ScrfdDetector, settings: FinderSettings | None = None) -> None:
        self._detector = detector
        self._settings = settings or FinderSettings()
        self._frames = frames(self._settings.fine_side)

    def find(
        self,
        picture: NDArray[np.uint8],
        persons: NDArray[np.float32],
        check: Callable[[], None] = lambda: None,
        min_score: float | None = None,
    ) -> Faces:
        """Find the faces of a picture.

        Where to look again is decided by the finder's own least score, whatever ``min_score`` is, and fainter faces
        neither suppress surer ones nor take their persons: a lower score adds faces and changes none.

        Args:
            picture: upright BGR ``(h, w, 3)``.
            persons: boxes ``(m, 4)`` of persons, xyxy pixels, the surest first.
            check: called between looks; what it raises ends the search.
            min_score: faces below are not answered, [0, 1]; the finder's own where ``None``.
        """
        settings = self._settings
        wanted = settings.min_score if min_score is None else min_score
        least = settings.candidates_for(min(wanted, settings.min_score))
        faces = self._look(picture, least)
        check()
        if not (faces.scores >= settings.candidate_score).any():
            faces = Faces.joined([faces, self._look_with_margin(picture, least)])
            check()
        faces = suppress(Faces.joined([faces, *self._look_again(picture, faces, persons, least)]))
        supported = faces_of_persons(faces, persons) >= 0
        gain = np.where(supported, settings.context * (1 - faces.scores), 0)
        faces = Faces(faces.boxes, faces.landmarks, (faces.scores + gain).astype(np.float32))
        by_score = faces.take(np.argsort(-faces.scores, kind="stable"))
        tall = by_score.boxes[:, 3] - by_score.boxes[:, 1] >= settings.min_height
        return by_score.take(np.flatnonzero(tall & (by_score.scores >= wanted)))

    def _look(self, picture: NDArray[np.uint8], least: float) -> Faces:
        """A fine look, and where that frame is large a coarse one, which sees the faces too large for it."""
        longest = max(picture.shape[:2])
        fine = min(self._settings.fine_side, longest * self._settings.max_enlargement)
        looks = [self._detect(picture, fine, least)]
        if fine >= 1.5 * self._settings.coarse_side:
            looks.append(self._detect(picture, self._settings.coarse_side, least))
        return suppress(Faces.joined(looks))

    def _look_with_margin(self, picture: NDArray[np.uint8], least: float) -> Faces:
        """Look at the picture in the middle of a dark frame of twice its size: a face that fills it needs room."""
        height, width = picture.shape[:2]
        scale = min(1.0, self._settings.coarse_side / 2 / max(height, width))
        columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
        inner = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
        roomy = np.zeros((2 * rows, 2 * columns, 3), np.uint8)
        top, left = rows // 2, columns // 2
        roomy[top : top + rows, left : left + columns] = inner
        faces = self._detect(roomy, max(roomy.shape[:2]), least)
        return faces.moved(-left, -top).scaled(width / columns, height / rows)

    def _look_again(
        self, picture: NDArray[np.uint8], faces: Faces, persons: NDArray[np.float32], least: float
    ) -> list[Faces]:
        """The surest face of each person that showed none, where a head may be."""
        settings = self._settings
        if not settings.second_look_side or not len(persons):
            return []
        sure = faces.take(np.flatnonzero(faces.scores >= settings.min_score))
        lonely = np.setdiff1d(np.arange(len(persons)), faces_of_persons(sure, persons))
        tall = lonely[persons[lonely, 3] - persons[lonely, 1] >= settings.second_look_min_height]
        chosen = persons[tall[: settings.second_look_max]]
        if not len(chosen):
            return []
        found = []
        for person in chosen:
            x1, y1, x2, y2 = head_region(person, picture.shape[:2])
            faces_in_crop = self._detect(picture[y1:y2, x1:x2], settings.second_look_side, least)
            best = faces_in_crop.take(range(min(1, len(faces_in_crop)))).moved(x1, y1)
            if (faces_of_persons(best, person[None]) >= 0).any():
                found.append(best)
        return found

    def _detect(self, picture: NDArray[np.uint8], longest: float, least: float) -> Faces:
        """Look at a picture whose longer side is scaled to this, in the smallest frame that holds it."""
        scale = longest / max(picture.shape[:2])
        width, height = (round(picture.shape[axis] * scale, 3) for axis in (1, 0))
        frame = next(frame for frame in self._frames if frame[0] >= width and frame[1] >= height)
        return self._detector.detect(picture, frame, least, longest=longest)


def frames(fine_side: int) -> list[tuple[int, int]]:
    """Width and height of the frames that pictures are looked at in, the smallest first.

    Args:
        fine_side: longer side of the largest, pixels; rounded up to whole cells.
    """
    whole = _whole_cells(fine_side)
    oblong = [(whole, _whole_cells(fine_side * proportion)) for proportion in PROPORTIONS]
    squares = [(side, side) for side in SMALL_FRAMES]
    upright = [(height, width) for width, height in oblong]
    return sorted({*squares, *oblong, *upright}, key=lambda frame: frame[0] * frame[1])


def _whole_cells(side: float) -> int:
    return max(1, int(np.ceil(round(side, 3) / CELL))) * CELL
