"""Finds the faces of a whole picture: at two resolutions, and again in persons without a face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.detection import closer_look
from recognizer.detection.persons import faces_of_persons, head_region
from recognizer.detection.scrfd import ScrfdDetector, suppress
from recognizer.detection.tiles import Tile
from recognizer.faces import Faces
from recognizer.quality import noise_of

CELL = 32
"""The coarsest stride of SCRFD: sides of frames are multiples of it."""
SMALL_FRAMES = (256, 320, 512)
"""Sides of the square frames for small pictures, coarse passes and persons, pixels."""
PROPORTIONS = (9 / 16, 2 / 3, 3 / 4, 1)
"""Shorter to longer side of the full-size frames. There are few because runtimes compile a graph for each size."""
MIN_CANDIDATE_SCORE = 0.02
"""Detections below this score are noise, and too many to process."""
CLOSE_FRAME = (128, 128)
"""The frame for a single face: in it, the scores of the four turns differ more than in larger ones."""
CLOSE_SIDE = SMALL_FRAMES[0]
"""Longest side of the surroundings of a face in which it is detected again, pixels."""
LOOK_SIDE = 512
"""Longer side of the frame in which the turns of a whole picture are compared, pixels."""
TRACE_SCORE = 0.15
"""Nearly every face that is not upright leaves a trace of at least this score; see :meth:`FaceFinder.find_with_trace`.
Of 154 pictures of WIDER turned by 90 and 180 degrees 153 do, of 401 of LFW all, and of 67 of COCO without people 50."""
MIN_LOOK_SCORE = 0.3
"""Minimum score of a face in a look that compares turns."""
MIN_NOISE = 0.035
"""Minimum noise of a noisy picture, as a share of its contrast, see :attr:`recognizer.quality.Quality.noise`."""
NOISE_SIDE = 256
"""Side of the square in which it is measured, pixels."""
SURE_DESPITE_NOISE = 0.6
"""A noisy picture is smoothed and searched again if none of its faces has this score."""
NOISE_BLUR = 2.0
"""Standard deviation of the blur that smooths a noisy picture without a sure face, pixels."""


@dataclass(frozen=True, slots=True)
class FinderSettings:
    """How thoroughly to search. The defaults were measured on WIDER FACE (docs/evaluation.md).

    Attributes:
        fine_side: longer side of the frame of the first pass, pixels. A larger one finds smaller faces and costs more.
        coarse_side: longer side of the frame of the second pass, pixels. It is for faces that fill the fine frame:
            SCRFD was trained on faces of up to about half its frame, and places landmarks best on smaller ones.
        max_enlargement: maximum factor by which small pictures are enlarged. Enlarging adds no detail, and the
            landmarks of enlarged faces are less accurate.
        min_score: minimum score of a face, [0, 1].
        min_height: minimum height of a face, pixels. Smaller faces cannot be recognised, and each would cost an
            embedding.
        context: a face where a person's head should be is more likely real: its score rises by this share of its
            distance to 1, [0, 1). Small faces in a quarter that was looked at closer are the exception: they have been
            seen well, and a person adds more false ones than true ones.
        second_look_side: side of the square frame in which a person without a face is searched again, pixels; 0
            disables this.
        second_look_min_height: minimum height of such a person, pixels.
        second_look_max: maximum number of such persons per picture; those with the highest scores are searched.
        closer_look: how much finer than the first pass a quarter of a picture is searched again if it shows small
            faces, see :mod:`recognizer.detection.closer_look`; 1 disables this, and 1.9 is the most.

    Raises:
        ValueError: ``closer_look`` is out of range.
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
    closer_look: float = 1.6

    def __post_init__(self) -> None:
        if not 1 <= self.closer_look <= closer_look.MAX_RATIO:
            raise ValueError(f"closer_look is {self.closer_look}, expected 1 to {closer_look.MAX_RATIO}")

    @property
    def candidate_score(self) -> float:
        """The lowest score that context can raise to ``min_score``."""
        return self.candidates_for(self.min_score)

    def candidates_for(self, min_score: float) -> float:
        """Return the lowest score that context can raise to ``min_score``, at least :data:`MIN_CANDIDATE_SCORE`."""
        return max(MIN_CANDIDATE_SCORE, (min_score - self.context) / (1 - self.context))


class FaceFinder:
    """Finds faces with SCRFD in the whole picture, then again in persons without a face.

    Args:
        detector: the network; its default minimum score is not used.
        settings: how thoroughly to search.
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
        *,
        scale: float = 1,
        closer: bool = False,
    ) -> Faces:
        """Find the faces of a picture.

        A lower ``min_score`` adds faces and changes none: the settings' own minimum decides which persons are searched
        again, and faces with low scores neither suppress others nor take their persons.

        Args:
            picture: upright BGR ``(h, w, 3)``.
            persons: boxes ``(m, 4)`` of persons, xyxy pixels, in descending order of score.
            check: called between passes; the search ends with the exception that it raises.
            min_score: minimum score of a face, [0, 1]; that of the settings if ``None``.
            scale: pixels of the full picture per pixel of this one; minimum heights are in full pixels.
            closer: search again, in more detail, where the faces are small; a noisy picture without a sure face is
                searched again after smoothing. It takes longer for such pictures.
        """
        return self.find_with_trace(picture, persons, check, min_score, scale=scale, closer=closer)[0]

    def find_with_trace(
        self,
        picture: NDArray[np.uint8],
        persons: NDArray[np.float32],
        check: Callable[[], None] = lambda: None,
        min_score: float | None = None,
        *,
        scale: float = 1,
        closer: bool = False,
    ) -> tuple[Faces, float]:
        """Find the faces of a picture, and the highest score of anything that resembles one, at any height.

        The second value is 0 if it is below :data:`TRACE_SCORE`: then no turn of the picture shows a face, either. For
        the arguments see :meth:`find`.
        """
        settings = self._settings
        wanted = settings.min_score if min_score is None else min_score
        lowest = min(TRACE_SCORE, settings.candidates_for(min(wanted, settings.min_score)))
        faces = self._detect_fine_and_coarse(picture, lowest)
        check()
        if closer and not (faces.scores >= SURE_DESPITE_NOISE).any() and _is_noisy(picture):
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), NOISE_BLUR), np.uint8)
            faces = suppress(Faces.merged([faces, self._detect_fine_and_coarse(picture, lowest)]))
            check()
        if not (faces.scores >= settings.candidate_score).any():
            faces = Faces.merged([faces, self._detect_with_margin(picture, lowest)])
            check()
        tiles = self._closer_tiles(picture, faces, scale) if closer else []
        if tiles:
            faces = suppress(Faces.merged([faces, *self._look_closer(picture, tiles, lowest, scale, check)]))
        faces = suppress(Faces.merged([faces, *self._detect_in_persons(picture, faces, persons, lowest, scale)]))
        trace = float(faces.scores.max(initial=0.0))
        gains = faces_of_persons(faces, persons) >= 0
        gains &= ~closer_look.seen_well(faces, tiles, look_scale=self._fine_scale(picture))
        gain = np.where(gains, settings.context * (1 - faces.scores), 0)
        faces = Faces(faces.boxes, faces.landmarks, (faces.scores + gain).astype(np.float32))
        faces = faces.take(np.argsort(-faces.scores, kind="stable"))
        wanted_faces = faces.take(np.flatnonzero(faces.scores >= wanted)).of_height(settings.min_height / scale)
        return wanted_faces, trace if trace >= TRACE_SCORE else 0.0

    @property
    def side(self) -> int:
        """Longer side of the largest input of the network, pixels."""
        return self._settings.fine_side

    def find_in_tile(
        self, tile: NDArray[np.uint8], longest: float, min_score: float | None = None, *, scale: float = 1
    ) -> Faces:
        """Find the faces in a part of a picture, in one pass.

        Args:
            tile: upright BGR ``(h, w, 3)``.
            longest: longer side to scale it to, pixels, at most :attr:`side`.
            min_score: see :meth:`find`.
            scale: see :meth:`find`.
        """
        settings = self._settings
        wanted = settings.min_score if min_score is None else min_score
        faces = self._detect(tile, longest, max(MIN_CANDIDATE_SCORE, wanted))
        return faces.of_height(settings.min_height / scale)

    def find_closely(self, picture: NDArray[np.uint8], min_score: float) -> Faces:
        """Find the faces of a small picture, BGR ``(h, w, 3)``, in one pass; it is shrunk to :data:`CLOSE_SIDE`."""
        return self._detect(picture, min(CLOSE_SIDE, max(picture.shape[:2])), min_score)

    def look(self, picture: NDArray[np.uint8], /, *, close: bool) -> float:
        """Detect in one small frame, to compare turns of a picture; see :class:`recognizer.search.orientation.Look`."""
        if close:
            faces = self._detector.detect(picture, CLOSE_FRAME, MIN_LOOK_SCORE)
        else:
            longest = min(LOOK_SIDE, max(picture.shape[:2]) * self._settings.max_enlargement)
            faces = self._detect(picture, longest, MIN_LOOK_SCORE)
        return float(faces.scores.max(initial=0.0))

    def _detect_fine_and_coarse(self, picture: NDArray[np.uint8], lowest: float) -> Faces:
        """Detect in the fine frame, and if that is large also in the coarse one, for faces too large for it."""
        fine = self._fine_scale(picture) * max(picture.shape[:2])
        passes = [self._detect(picture, fine, lowest)]
        if fine >= 1.5 * self._settings.coarse_side:
            passes.append(self._detect(picture, self._settings.coarse_side, lowest))
        return suppress(Faces.merged(passes))

    def _fine_scale(self, picture: NDArray[np.uint8]) -> float:
        """Pixels of the fine frame per pixel of the picture."""
        longest: int = max(picture.shape[:2])
        return min(self._settings.fine_side / longest, self._settings.max_enlargement)

    def _closer_tiles(self, picture: NDArray[np.uint8], faces: Faces, scale: float) -> list[Tile]:
        """The quarters of the picture that show small faces, see the module ``closer_look``."""
        settings = self._settings
        fine = self._fine_scale(picture)
        closer = min(fine * settings.closer_look, settings.max_enlargement)
        certain = faces.take(np.flatnonzero(faces.scores >= settings.min_score))
        height, width = picture.shape[:2]
        certain = certain.of_height(settings.min_height / scale)
        return closer_look.tiles(width, height, certain, look_scale=fine, scale=closer)

    def _look_closer(
        self,
        picture: NDArray[np.uint8],
        tiles: list[Tile],
        lowest: float,
        scale: float,
        check: Callable[[], None],
    ) -> list[Faces]:
        """Detect again in these tiles."""
        fine, least = self._fine_scale(picture), self._settings.min_height / scale
        height, width = picture.shape[:2]
        found = []
        for tile in tiles:
            pixels = picture[tile.top : tile.bottom, tile.left : tile.right]
            in_tile = tile.whole(self._detect(pixels, tile.longest, lowest), width, height)
            small = in_tile.of_height(least, closer_look.LARGEST / fine)
            found.append(small)  # without shorter ones: they would suppress a face that the first look saw a bit taller
            check()
        return found

    def _detect_with_margin(self, picture: NDArray[np.uint8], lowest: float) -> Faces:
        """Detect in the picture with a black margin, twice its size, for faces that fill the picture."""
        height, width = picture.shape[:2]
        scale = min(1.0, self._settings.coarse_side / 2 / max(height, width))
        columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
        inner = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
        padded = np.zeros((2 * rows, 2 * columns, 3), np.uint8)
        top, left = rows // 2, columns // 2
        padded[top : top + rows, left : left + columns] = inner
        faces = self._detect(padded, max(padded.shape[:2]), lowest)
        return faces.translated(-left, -top).scaled(width / columns, height / rows)

    def _detect_in_persons(
        self, picture: NDArray[np.uint8], faces: Faces, persons: NDArray[np.float32], lowest: float, scale: float
    ) -> list[Faces]:
        """For each person without a face, detect the best one in the region of the head."""
        settings = self._settings
        if not settings.second_look_side or not len(persons):
            return []
        certain = faces.take(np.flatnonzero(faces.scores >= settings.min_score))
        faceless = np.setdiff1d(np.arange(len(persons)), faces_of_persons(certain, persons))
        tall = faceless[persons[faceless, 3] - persons[faceless, 1] >= settings.second_look_min_height / scale]
        found = []
        for person in persons[tall[: settings.second_look_max]]:
            x1, y1, x2, y2 = head_region(person, picture.shape[:2])
            in_region = self._detect(picture[y1:y2, x1:x2], settings.second_look_side, lowest)
            tall_enough = in_region.of_height(settings.min_height / scale)  # as in a closer look
            best = tall_enough.take(range(min(1, len(tall_enough)))).translated(x1, y1)
            if (faces_of_persons(best, person[None]) >= 0).any():
                found.append(best)
        return found

    def _detect(self, picture: NDArray[np.uint8], longest: float, lowest: float) -> Faces:
        """Scale the longer side of a picture, and detect in the smallest frame that holds the result."""
        scale = longest / max(picture.shape[:2])
        width, height = (round(picture.shape[axis] * scale, 3) for axis in (1, 0))
        frame = next(frame for frame in self._frames if frame[0] >= width and frame[1] >= height)
        return self._detector.detect(picture, frame, lowest, longest=longest)


def _is_noisy(picture: NDArray[np.uint8]) -> bool:
    """Whether the middle of a picture is noisy, or printed in dots; the whole of a large one would take too long."""
    height, width = picture.shape[:2]
    if min(height, width) < CELL:
        return False
    top, left = max(0, height - NOISE_SIDE) // 2, max(0, width - NOISE_SIDE) // 2
    middle = np.ascontiguousarray(picture[top : top + NOISE_SIDE, left : left + NOISE_SIDE])
    grey = np.asarray(cv2.cvtColor(middle, cv2.COLOR_BGR2GRAY), np.uint8)
    low, high = np.percentile(grey, (5, 95))
    return bool(noise_of(grey) >= MIN_NOISE * max(1.0, high - low))


def frames(fine_side: int) -> list[tuple[int, int]]:
    """List width and height of the frames, the network's input sizes, in ascending order of area.

    Args:
        fine_side: longer side of the largest frame, pixels; rounded up to a multiple of :data:`CELL`.
    """
    longer = _whole_cells(fine_side)
    landscape = [(longer, _whole_cells(fine_side * proportion)) for proportion in PROPORTIONS]
    landscape.append((LOOK_SIDE, _whole_cells(LOOK_SIDE * 3 / 4)))
    squares = [(side, side) for side in SMALL_FRAMES]
    portrait = [(height, width) for width, height in landscape]
    return sorted({*squares, *landscape, *portrait}, key=lambda frame: frame[0] * frame[1])


def _whole_cells(side: float) -> int:
    return max(1, int(np.ceil(round(side, 3) / CELL))) * CELL
