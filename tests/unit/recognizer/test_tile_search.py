"""In which turns the tiles of a picture are searched, and which faces are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from facet.runtime.pictures import DecodedPicture
from recognizer.detection.finder import FaceFinder
from recognizer.detection.tiles import Plan, Tile
from recognizer.faces import Faces
from recognizer.progress import NO_PROGRESS, finish
from recognizer.search.orientation import Orientation
from recognizer.search.tile_search import TileSearch

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT = 60, 40


def face(score: float, left: float = 10) -> Faces:
    box = np.array([[left, 10, left + 12, 22]], np.float32)
    return Faces(box, np.zeros((1, 5, 2), np.float32), np.array([score], np.float32))


class FinderByTurn:
    """Finds a face whose score depends on the turn, which a white corner of the picture shows."""

    side = 800

    def __init__(self, scores: dict[int, float]) -> None:
        self.scores = scores
        self.turns: list[int] = []

    def find_in_tile(
        self, tile: NDArray[np.uint8], longest: float, min_score: float | None = None, *, scale: float = 1
    ) -> Faces:
        corners = {0: tile[0, 0], 90: tile[0, -1], 180: tile[-1, -1], 270: tile[-1, 0]}
        turn = next(turn for turn, corner in corners.items() if corner.all())
        self.turns.append(turn)
        return face(self.scores[turn]) if turn in self.scores else Faces.empty()


def searched(scores: dict[int, float], turn: int | None = None) -> tuple[list[tuple[int, float]], list[int]]:
    """The turns and scores of the faces, and the turns that were searched."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[0, 0] = 255
    finder = FinderByTurn(scores)
    search = TileSearch(cast(FaceFinder, finder), Orientation(lambda picture, *, close: 0.0), 40.0, 200)
    tiles = Plan((Tile(0, 0, WIDTH, HEIGHT, 1.0),), 1.0)
    found = finish(search.find(DecodedPicture.full(pixels), tiles, turn, 0.4, NO_PROGRESS))
    return [(each, round(float(score), 2)) for each, faces in found for score in faces.scores], finder.turns


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_weak_face_does_not_keep_the_other_turns_from_being_searched(turn: int) -> None:
    faces, turns = searched({0: 0.43, turn: 0.9})
    assert faces == [(turn, 0.9)]
    assert turns[0] == 0


def test_a_clear_face_as_the_picture_lies_saves_the_other_turns() -> None:
    assert searched({0: 0.9, 90: 0.95}) == ([(0, 0.9)], [0])


def test_weak_faces_are_answered_in_the_turn_of_the_best_one() -> None:
    faces, turns = searched({0: 0.43, 180: 0.5, 270: 0.45})
    assert faces == [(180, 0.5)]
    assert turns == [0, 90, 180, 270]


def test_a_given_turn_is_the_only_one() -> None:
    assert searched({0: 0.9, 90: 0.5}, turn=90) == ([(90, 0.5)], [90])
