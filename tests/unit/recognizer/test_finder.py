"""Alignment, quality, persons and frames: the geometry around a face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facet.runtime.models import find_model
from facet.runtime.pictures import decode
from facet.runtime.session import OnnxSession
from recognizer.alignment import CROP_SIZE, TEMPLATE, align, similarity_transform
from recognizer.choice import central, largest, nearest, only
from recognizer.errors import FaceNotFound, SeveralFaces
from recognizer.faces import Faces
from recognizer.finder import CELL, FaceFinder, FinderSettings, frames
from recognizer.persons import faces_of_persons, head_region
from recognizer.quality import head_pose, measure
from recognizer.scrfd import ScrfdDetector, suppress

if TYPE_CHECKING:
    from tests.conftest import Pictures

angles = st.floats(-3.1, 3.1)
sizes = st.floats(0.05, 20)
shifts = st.floats(-1000, 1000)


def faces(boxes: Sequence[Sequence[float]], scores: Sequence[float] | None = None) -> Faces:
    count = len(boxes)
    chosen = scores if scores is not None else np.linspace(0.9, 0.5, count)
    return Faces(np.array(boxes, np.float32), np.zeros((count, 5, 2), np.float32), np.array(chosen, np.float32))


def turned(points: NDArray[np.float32], angle: float, size: float, dx: float, dy: float) -> NDArray[np.float32]:
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(size * points @ rotation.T + [dx, dy], np.float32)


@given(angles, sizes, shifts, shifts)
def test_a_turned_scaled_and_moved_template_is_brought_back(angle: float, size: float, dx: float, dy: float) -> None:
    landmarks = turned(TEMPLATE, angle, size, dx, dy)
    matrix = similarity_transform(landmarks)
    brought = landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert brought == pytest.approx(TEMPLATE, abs=0.05)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_landmarks_in_one_place_are_aligned_without_scaling() -> None:
    landmarks = np.full((5, 2), 50, np.float32)
    assert similarity_transform(landmarks)[:, :2] == pytest.approx(np.eye(2))
    crop = align(np.full((100, 100, 3), 9, np.uint8), landmarks)
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)


def test_a_face_straight_ahead_is_not_turned_and_a_rolled_one_is_rolled() -> None:
    yaw, pitch, roll = head_pose(TEMPLATE)
    assert abs(yaw) < 3
    assert abs(pitch) < 20
    assert abs(roll) < 3
    for degrees in (-90, -30, 45, 120):
        rolled = head_pose(turned(TEMPLATE, np.radians(degrees), 1, 0, 0))
        assert rolled[2] - roll == pytest.approx(degrees, abs=1)
        assert rolled[0] == pytest.approx(yaw, abs=5)


def test_a_nose_to_the_viewers_right_is_a_turn_to_the_right() -> None:
    aside = TEMPLATE.copy()
    aside[2, 0] += 10
    assert head_pose(aside)[0] > 10
    aside[2, 0] -= 20
    assert head_pose(aside)[0] < -10
    raised = TEMPLATE.copy()
    raised[2, 1] -= 8
    assert head_pose(raised)[1] > head_pose(TEMPLATE)[1]


def test_landmarks_without_extent_have_no_pose() -> None:
    assert head_pose(np.zeros((5, 2), np.float32)) == (0, 0, 0)


def test_quality_falls_with_size_and_sharpness() -> None:
    crop = np.random.default_rng(0).integers(0, 255, (CROP_SIZE, CROP_SIZE, 3)).astype(np.uint8)
    good = measure(np.array([0, 0, 100, 120], np.float32), TEMPLATE, crop)
    assert (good.value, good.size) == (1, 100)
    assert measure(np.array([0, 0, 20, 120], np.float32), TEMPLATE, crop).value < 0.5
    flat = measure(np.array([0, 0, 100, 120], np.float32), TEMPLATE, np.full_like(crop, 90))
    assert (flat.value, flat.sharpness) == (0, 0)


def test_each_person_has_one_face_and_each_face_one_person() -> None:
    persons = np.array([[0, 0, 100, 300], [50, 0, 150, 300]], np.float32)
    heads = faces([[80, 10, 120, 60], [30, 10, 70, 60], [40, 200, 60, 220], [300, 10, 340, 60]])
    assert faces_of_persons(heads, persons).tolist() == [1, 0, -1, -1]
    assert faces_of_persons(Faces.empty(), persons).tolist() == []
    assert faces_of_persons(heads, np.empty((0, 4), np.float32)).tolist() == [-1] * 4


@given(
    st.tuples(st.floats(-50, 140), st.floats(-50, 90), st.floats(1, 300), st.floats(1, 300)),
    st.tuples(st.integers(1, 100), st.integers(1, 150)),
)
def test_the_region_of_a_head_lies_in_the_picture_and_has_an_area(
    person: tuple[float, float, float, float], shape: tuple[int, int]
) -> None:
    x, y, width, height = person
    x, y = min(x, shape[1] - 1), min(y, shape[0] - 1)
    box = np.array([x, y, max(x + width, 1), max(y + height, 1)], np.float32)
    x1, y1, x2, y2 = head_region(box, shape)
    assert 0 <= x1 < x2 <= shape[1]
    assert 0 <= y1 < y2 <= shape[0]


def test_the_central_face_weighs_size_against_distance() -> None:
    near, far = [45, 45, 55, 55], [0, 0, 20, 20]
    assert central(faces([far, near]), (100, 100)) == 1
    assert largest(faces([far, near])) == 0
    assert nearest(faces([far, near]), np.array([44, 44, 56, 56], np.float32)) == 1


def test_a_choice_needs_a_face_and_one_face_needs_no_choice() -> None:
    box = np.array([50, 50, 60, 60], np.float32)
    for chosen in (lambda none: central(none, (9, 9)), largest, only, lambda none: nearest(none, box)):
        with pytest.raises(FaceNotFound):
            chosen(Faces.empty())
    with pytest.raises(FaceNotFound):
        nearest(faces([[0, 0, 10, 10]]), box)
    with pytest.raises(SeveralFaces, match="2 faces"):
        only(faces([[0, 0, 1, 1], [2, 2, 3, 3]]))
    assert only(faces([[0, 0, 1, 1]])) == 0


def test_of_faces_that_overlap_the_surest_stays() -> None:
    kept = suppress(faces([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]], [0.9, 0.8, 0.7]))
    assert kept.scores == pytest.approx([0.9, 0.7])
    assert not len(suppress(Faces.empty()))


def test_joined_faces_are_by_falling_score() -> None:
    joined = Faces.merged(
        [faces([[0, 0, 1, 1]], [0.3]), Faces.empty(), faces([[2, 2, 3, 3], [4, 4, 5, 5]], [0.9, 0.2])]
    )
    assert joined.scores == pytest.approx([0.9, 0.3, 0.2])
    assert joined.boxes[:, 0].tolist() == [2, 0, 4]


@given(st.integers(64, 4096))
def test_frames_are_few_of_whole_cells_and_hold_any_picture_of_the_side(fine_side: int) -> None:
    found = frames(fine_side)
    assert len(found) <= 10
    assert all(side % CELL == 0 for frame in found for side in frame)
    assert any(width == height and fine_side <= width < fine_side + CELL for width, height in found)


@pytest.mark.parametrize("fine_side", [64, 800])
def test_a_picture_of_any_shape_is_looked_at_in_a_frame_that_holds_it(fine_side: int) -> None:
    settings = FinderSettings(fine_side=fine_side)
    finder = FaceFinder(ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path)), settings)
    for shape in ((700, 800, 3), (800, 450, 3), (3, 900, 3), (33, 20, 3), (2000, 2000, 3)):
        assert not len(finder.find(np.zeros(shape, np.uint8), np.array([[0, 0, shape[1], shape[0]]], np.float32)))


def test_the_candidate_score_is_what_context_lifts_to_the_least() -> None:
    settings = FinderSettings()
    low = settings.candidate_score
    assert low + settings.context * (1 - low) == pytest.approx(settings.min_score)


@pytest.mark.parametrize("min_score", [0.3, 0.02, 0.001])
def test_fainter_faces_come_behind_the_others_and_change_none(pictures: Pictures, min_score: float) -> None:
    settings = FinderSettings()
    session = OnnxSession(find_model("scrfd_500m_bnkps").path)
    finder = FaceFinder(ScrfdDetector(session, min_score=settings.candidate_score), settings)
    fainter = 0
    for data in (pictures.players, pictures.street, pictures.gdp, pictures.six):
        picture = decode(data, max_pixels=10**8)
        height, width = picture.shape[:2]
        persons = np.array([[0, 0, width / 2, height], [width / 2, 0, width, height]], np.float32)
        alone, together = finder.find(picture, persons), finder.find(picture, persons, min_score=min_score)
        count = len(alone)
        assert together.boxes[:count].tolist() == alone.boxes.tolist()
        assert together.landmarks[:count].tolist() == alone.landmarks.tolist()
        assert together.scores[:count].tolist() == alone.scores.tolist()
        assert ((together.scores[count:] < settings.min_score) & (together.scores[count:] >= min_score)).all()
        fainter += len(together) - count
        fewer = finder.find(picture, persons, min_score=0.7)
        assert fewer.scores.tolist() == alone.scores[alone.scores >= 0.7].tolist()
    assert fainter


def test_tiny_and_extreme_pictures_are_looked_through() -> None:
    settings = FinderSettings()
    session = OnnxSession(find_model("scrfd_500m_bnkps").path)
    finder = FaceFinder(ScrfdDetector(session, min_score=settings.candidate_score), settings)
    for shape in ((1, 1, 3), (1, 5000, 3), (5000, 1, 3), (20, 4000, 3)):
        everything = np.array([[0, 0, shape[1], shape[0]]], np.float32)
        assert not len(finder.find(np.zeros(shape, np.uint8), everything))
