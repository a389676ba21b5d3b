"""Pose, sharpness and size of a face."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recognizer.alignment import CROP_SIZE, TEMPLATE
from recognizer.quality import head_pose, measure


def rotated(points: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(points @ rotation.T, np.float32)


def test_a_frontal_face_has_no_yaw_and_a_rotated_one_has_that_roll() -> None:
    yaw, pitch, roll = head_pose(TEMPLATE)
    assert abs(yaw) < 3
    assert abs(pitch) < 20
    assert abs(roll) < 3
    for degrees in (-90, -30, 45, 120):
        rolled = head_pose(rotated(TEMPLATE, degrees))
        assert rolled[2] - roll == pytest.approx(degrees, abs=1)
        assert rolled[0] == pytest.approx(yaw, abs=5)


def test_yaw_is_positive_to_the_viewers_right_and_pitch_is_positive_up() -> None:
    sideways = TEMPLATE.copy()
    sideways[2, 0] += 10
    assert head_pose(sideways)[0] > 10
    sideways[2, 0] -= 20
    assert head_pose(sideways)[0] < -10
    raised = TEMPLATE.copy()
    raised[2, 1] -= 8
    assert head_pose(raised)[1] > head_pose(TEMPLATE)[1]


def test_landmarks_that_coincide_have_no_pose() -> None:
    assert head_pose(np.zeros((5, 2), np.float32)) == (0, 0, 0)


def test_quality_falls_with_size_and_sharpness() -> None:
    crop = np.random.default_rng(0).integers(0, 255, (CROP_SIZE, CROP_SIZE, 3)).astype(np.uint8)
    good = measure(np.array([0, 0, 100, 120], np.float32), TEMPLATE, crop)
    assert (good.value, good.size) == (1, 100)
    assert measure(np.array([0, 0, 20, 120], np.float32), TEMPLATE, crop).value < 0.5
    flat = measure(np.array([0, 0, 100, 120], np.float32), TEMPLATE, np.full_like(crop, 90))
    assert (flat.value, flat.sharpness) == (0, 0)
