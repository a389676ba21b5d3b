"""Pictures of any turn: faces are found, aligned and recognised as in the upright picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet.runtime.pictures import decode
from recognizer.detection.finder import TRACE_SCORE
from recognizer.faces import Faces
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.search.orientation import TURNS, Orientation, boxes_turned_back, faces_turned_back, turned

if TYPE_CHECKING:
    from tests.conftest import Pictures

SIDEWAYS = TURNS[1:]


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline(load_models())


def picture_of(data: bytes) -> NDArray[np.uint8]:
    return decode(data, max_pixels=10**8)


@pytest.mark.parametrize("turn", TURNS)
def test_a_pixel_and_a_box_are_turned_back_to_where_they_were(turn: int) -> None:
    picture = np.zeros((40, 70, 3), np.uint8)
    picture[10, 20] = 255
    y, x = np.argwhere(turned(picture, turn)[..., 0])[0]
    box, point = np.array([[x, y, x + 1, y + 1]], np.float32), np.full((1, 5, 2), (x, y), np.float32)
    back = faces_turned_back(Faces(box, point, np.ones(1, np.float32)), turn, picture.shape)
    assert back.landmarks[0].tolist() == [[20, 10]] * 5
    assert back.boxes.tolist() == boxes_turned_back(box, turn, picture.shape).tolist() == [[20, 10, 21, 11]]


@pytest.mark.parametrize("turn", SIDEWAYS)
@pytest.mark.parametrize("name", ["yaoming", "six", "players"])
def test_turned_pictures_show_the_same_faces(pipeline: FacePipeline, pictures: Pictures, name: str, turn: int) -> None:
    picture = picture_of(getattr(pictures, name))
    upright = pipeline.analyze_picture(picture, turn=0)
    found = pipeline.analyze_picture(turned(picture, turn))
    back = boxes_turned_back(found.faces.boxes, turn, picture.shape)
    assert abs(len(found.faces) - len(upright.faces)) <= len(upright.faces) // 10
    assert set(found.turns) == {360 - turn}
    if name == "players":  # their faces are too small for an exact comparison
        return
    original = pipeline.embed(pipeline.align(upright))
    for box, embedding in zip(back, pipeline.embed(pipeline.align(found)), strict=True):
        nearest = int(np.abs(upright.faces.boxes - box).sum(1).argmin())
        assert np.abs(upright.faces.boxes[nearest] - box).max() < 5
        assert embedding @ original[nearest] > 0.9


@pytest.mark.parametrize("name", ["yaoming", "six", "players", "gdp"])
def test_upright_pictures_give_what_they_give_as_they_are(
    pipeline: FacePipeline, pictures: Pictures, name: str
) -> None:
    picture = picture_of(getattr(pictures, name))
    as_it_is, found = pipeline.analyze_picture(picture, turn=0), pipeline.analyze_picture(picture)
    assert found.faces.boxes.tolist() == as_it_is.faces.boxes.tolist()
    assert not found.turns.any()


@pytest.mark.parametrize("min_score", [None, 0.75])
def test_faces_of_different_turns_in_one_picture_are_all_recognised(
    pipeline: FacePipeline, pictures: Pictures, min_score: float | None
) -> None:
    portrait = cv2.resize(picture_of(pictures.yaoming), (320, 320))
    top, bottom = (
        np.hstack([turned(np.asarray(portrait, np.uint8), turn) for turn in pair]) for pair in ((0, 90), (180, 270))
    )
    found = pipeline.analyze_picture(np.vstack((top, bottom)), face_min_score=min_score)
    embeddings = pipeline.embed(pipeline.align(found))
    assert sorted(found.turns) == list(TURNS)
    assert (embeddings @ embeddings.T).min() > 0.9


def test_a_given_turn_is_taken_and_as_it_is_means_no_turn(pipeline: FacePipeline, pictures: Pictures) -> None:
    upside_down = turned(picture_of(pictures.yaoming), 180)
    told, as_it_is = (pipeline.analyze_picture(upside_down, turn=turn) for turn in (180, 0))
    assert told.turns.tolist() == [180]
    assert told.faces.scores[0] > 0.7
    assert not as_it_is.turns.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (17, 17), (40, 4000), (480, 640)])
def test_pictures_without_faces_have_none_in_any_turn(pipeline: FacePipeline, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (*shape, 3), np.uint8)
    for picture in (noise, np.zeros_like(noise)):
        assert not len(pipeline.analyze_picture(picture).faces)


def test_certain_upright_faces_cost_no_look_and_no_face_costs_three() -> None:
    looks = []

    def look(picture: NDArray[np.uint8], /, *, close: bool) -> float:
        looks.append((picture.shape[:2], close))
        return 0.0

    picture = np.zeros((100, 200, 3), np.uint8)
    eyes_and_mouth = np.array([[[60, 40], [80, 40], [70, 50], [62, 60], [78, 60]]], np.float32)
    certain = Faces(np.array([[50, 20, 90, 70]], np.float32), eyes_and_mouth, np.array([0.9], np.float32))
    assert Orientation(look).turns(picture, certain) == [0]
    assert not looks
    assert Orientation(look).turns(picture, Faces.empty()) == [0]
    assert looks == [((200, 100), False), ((100, 200), False), ((200, 100), False)]


def test_a_picture_without_a_trace_of_a_face_costs_no_look() -> None:
    def look(picture: NDArray[np.uint8], /, *, close: bool) -> float:
        raise AssertionError("looked")

    picture = np.zeros((100, 200, 3), np.uint8)
    assert Orientation(look).turns(picture, Faces.empty(), trace=TRACE_SCORE - 0.01) == [0]


def looking(scores: tuple[float, ...], score: float) -> tuple[list[int], list[bool]]:
    """The turns by the scores that looks give one after the other, for a face of that score; whether each was close."""
    looks: list[bool] = []

    def look(picture: NDArray[np.uint8], /, *, close: bool) -> float:
        looks.append(close)
        return scores[len(looks) - 1]

    points = np.array([[[60, 40], [80, 40], [70, 50], [62, 60], [78, 60]]], np.float32)
    faces = Faces(np.array([[50, 20, 90, 70]], np.float32), points, np.array([score], np.float32))
    return Orientation(look).turns(np.zeros((100, 200, 3), np.uint8), faces), looks


def test_an_upside_down_face_that_looks_certain_at_first_is_looked_at_upside_down() -> None:
    assert looking((0.82, 0.88, 0.0, 0.3), 0.6) == ([180], [True] * 4)


def test_an_upright_face_that_is_clear_beside_its_turn_upside_down_costs_two_looks() -> None:
    assert looking((0.78, 0.4), 0.6) == ([0], [True] * 2)


def test_after_looks_that_are_not_clear_the_whole_picture_is_looked_at_only_without_a_fairly_certain_face() -> None:
    assert looking((0.5, 0.5, 0.5, 0.5), 0.75) == ([0], [True] * 4)
    assert looking((0.5, 0.5, 0.5, 0.5, 0.2, 0.3, 0.8, 0.4), 0.6) == ([180], [True] * 4 + [False] * 4)
