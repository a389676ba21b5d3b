"""Searches a large picture in tiles, for faces that are too small in the whole picture."""

from __future__ import annotations

from dataclasses import dataclass

from facet.runtime.pictures import DecodedPicture
from recognizer.detection.finder import FaceFinder
from recognizer.detection.tiles import LEAST_HEIGHT, Plan, plan
from recognizer.detection.yolo_faces import YoloFaceFinder
from recognizer.faces import Faces
from recognizer.progress import Progress, Turns
from recognizer.resolution import faces_in_full
from recognizer.search.orientation import CLEAR_SCORE, TURNS, Orientation, faces_turned_back, turned

_WHOLE_IS_KNOWN = 0.0
"""As trace: the whole picture has shown no clear face, so it need not be looked at again."""


@dataclass(frozen=True, slots=True)
class TileSearch:
    """Finds the faces of a picture's tiles.

    Attributes:
        finder: finds the faces of a tile.
        orientation: tells which way up faces are; ``None`` takes every picture as it is.
        wanted_height: height of the smallest face to find in the full picture, pixels.
        max_faces: most faces of a tile; those with the highest scores are kept.
    """

    finder: FaceFinder | YoloFaceFinder
    orientation: Orientation | None
    wanted_height: float
    max_faces: int

    def plan(self, picture: DecodedPicture, look_scale: float) -> Plan:
        """Divide a picture into tiles.

        Args:
            picture: the picture.
            look_scale: pixels of the detector's input per decoded pixel in the look at the whole picture.
        """
        height, width = picture.pixels.shape[:2]
        wanted = min(1.0, LEAST_HEIGHT / self.wanted_height * picture.placement.scale)
        return plan(width, height, look_scale=look_scale, wanted_scale=wanted, side=self.finder.side)

    def find(
        self, picture: DecodedPicture, tiles: Plan, turn: int | None, min_score: float, progress: Progress
    ) -> Turns[list[tuple[int, Faces]]]:
        """Find faces in tiles; yields after each tile.

        If no turn is given, the faces of the picture as it is tell which way up it is. If none is clear, it is searched
        in the other turns, until one shows a clear face: a picture without faces takes four times as long.

        Args:
            picture: the picture.
            tiles: its tiles.
            turn: which way up the picture is, degrees; ``None`` if that is unknown.
            min_score: minimum score of a face.
            progress: times the search and may stop it between tiles.

        Returns:
            the turns in which the picture was searched, with their faces in the coordinates of the full picture.
        """
        faces = yield from self._in_turn(picture, tiles, turn or 0, min_score, progress)
        found = {turn or 0: faces}
        if turn is None and self.orientation and tiles.tiles:
            if _any_clear(faces):
                main, *others = self.orientation.turns(picture.pixels, faces, progress.check, trace=_WHOLE_IS_KNOWN)
                for other in {main, *others} - {0}:
                    found[other] = yield from self._in_turn(picture, tiles, other, min_score, progress)
                if main and 0 not in others and len(found[main]):
                    del found[0]  # upside-down faces, with landmarks in wrong places
            else:
                for other in TURNS[1:]:
                    found[other] = yield from self._in_turn(picture, tiles, other, min_score, progress)
                    if _any_clear(found[other]):
                        break
                best = max(found, key=lambda each: found[each].scores.max(initial=0.0))
                found = {best: found[best]}
        return [(each, faces_in_full(faces, picture.placement)) for each, faces in found.items()]

    def _in_turn(
        self, picture: DecodedPicture, tiles: Plan, turn: int, min_score: float, progress: Progress
    ) -> Turns[Faces]:
        """The faces of all tiles in one turn, in the coordinates of the decoded pixels as they are."""
        (height, width), found = picture.pixels.shape[:2], []
        for tile in tiles.tiles:
            with progress.stage("faces"):
                pixels = picture.pixels[tile.top : tile.bottom, tile.left : tile.right]
                faces = self.finder.find_in_tile(
                    turned(pixels, turn), tile.longest, min_score, scale=picture.placement.scale
                )
                faces = tile.whole(faces_turned_back(faces, turn, pixels.shape), width, height)
                found.append(faces.take(range(min(len(faces), self.max_faces))))
            progress.check()
            yield
        return Faces.merged(found)


def _any_clear(faces: Faces) -> bool:
    return bool((faces.scores >= CLEAR_SCORE).any())
