"""Pose, sharpness and size of a face."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recognizer.alignment import CROP_SIZE, TEMPLATE
from recognizer.fitness import shortfall
from recognizer.quality import NO_LIMITS, Quality, QualityLimits, head_pose, measure


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


def drawn_face() -> NDArray[np.uint8]:
    """Skin with texture, and dark eyes, brows and mouth."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (CROP_SIZE, CROP_SIZE)), (0, 0), 2)
    skin = 150 + 12 * texture / texture.std()
    crop = np.repeat(skin[..., None], 3, axis=2).astype(np.uint8)
    for x in (38, 74):
        cv2.rectangle(crop, (x - 9, 38), (x + 9, 57), (40, 40, 40), -1)
    cv2.rectangle(crop, (42, 88), (70, 96), (60, 60, 60), -1)
    return crop


def test_quality_falls_with_size_and_sharpness() -> None:
    crop = drawn_face()
    good = measure(np.array([0, 0, 100, 120], np.float32), TEMPLATE, crop)
    assert (good.value, good.size) == (1, 100)
    assert measure(np.array([0, 0, 20, 120], np.float32), TEMPLATE, crop).value < 0.5
    flat = measure(np.array([0, 0, 100, 120], np.float32), TEMPLATE, np.full_like(crop, 90))
    assert (flat.value, flat.sharpness) == (0, 0)


@pytest.mark.parametrize("grey_levels", [1, 3, 135])
def test_a_crop_that_shows_next_to_nothing_has_no_quality(grey_levels: int) -> None:
    odd = np.full((CROP_SIZE, CROP_SIZE, 3), 120, np.uint8)
    odd[50, 50] += np.uint8(grey_levels)
    assert measured(odd).value == 0


def measured(crop: NDArray[np.uint8]) -> Quality:
    return measure(np.array([0, 0, 100, 120], np.float32), TEMPLATE, np.ascontiguousarray(crop, np.uint8))


def reason(crop: NDArray[np.uint8]) -> str:
    unfit = shortfall(measured(crop), QualityLimits())
    return "" if unfit is None else unfit.reason


def test_each_degradation_has_its_reason_and_lowers_the_value() -> None:
    face = drawn_face()
    noise = np.random.default_rng(0).normal(0, 40, face.shape)
    assert reason(face) == ""
    for degraded, expected in (
        (face * 0.05, "FACE_TOO_DARK"),
        (np.clip(face + noise, 0, 255), "FACE_TOO_NOISY"),
        (np.clip(face * 8.0, 0, 255), "FACE_OVEREXPOSED"),
        (255 - face, "FACE_NEGATIVE"),
        (cv2.blur(face, (1, 25)), "FACE_TOO_BLURRED"),
        (cv2.GaussianBlur(face, (0, 0), 6), "FACE_TOO_BLURRED"),
    ):
        crop = np.asarray(degraded, np.uint8)
        assert reason(crop) == expected
        assert measured(crop).value < measured(face).value, expected


def painted(crop: NDArray[np.uint8], left: int, top: int, right: int, bottom: int, level: int) -> NDArray[np.uint8]:
    covered = crop.copy()
    covered[top:bottom, left:right] = level
    return covered


@pytest.mark.parametrize("level", [15, 128, 240])
def test_a_bar_over_the_eyes_one_eye_or_the_mouth_is_occlusion_whatever_its_level(level: int) -> None:
    face = drawn_face()
    for covered in (
        painted(face, 10, 40, 102, 64, level),
        painted(face, 20, 38, 54, 66, level),
        painted(face, 30, 80, 84, 106, level),
        painted(face, 0, 66, 112, 112, level),
    ):
        assert reason(covered) == "FACE_OCCLUDED"
        assert measured(covered).value < measured(face).value


def test_dark_skin_and_a_covered_forehead_or_chin_are_no_occlusion() -> None:
    face = drawn_face()
    assert reason(np.asarray(face * 0.35, np.uint8)) == ""
    assert reason(painted(face, 0, 0, 112, 26, 40)) != "FACE_OCCLUDED"
    assert reason(painted(face, 0, 104, 112, 112, 200)) != "FACE_OCCLUDED"


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 120])
def test_blur_along_any_line_is_noticed(degrees: float) -> None:
    line = np.zeros((17, 17), np.float32)
    line[8] = 1
    line = np.asarray(cv2.warpAffine(line, cv2.getRotationMatrix2D((8, 8), degrees, 1), (17, 17)), np.float32)
    assert reason(np.asarray(cv2.filter2D(drawn_face(), -1, line / line.sum()), np.uint8)) == "FACE_TOO_BLURRED"


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_constant_crop_has_finite_measures_and_quality_0(level: int) -> None:
    quality = measured(np.full((CROP_SIZE, CROP_SIZE, 3), level, np.uint8))
    assert all(np.isfinite(value) for value in dataclasses.astuple(quality))
    assert quality.value == 0
    assert shortfall(quality, NO_LIMITS) is None


def test_a_box_without_area_has_finite_measures() -> None:
    quality = measure(np.zeros(4, np.float32), np.full((5, 2), -1e6, np.float32), drawn_face())
    assert all(np.isfinite(value) for value in dataclasses.astuple(quality))
