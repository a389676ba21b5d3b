"""Alignment of a face to the ArcFace template."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.alignment import CROP_SIZE, TEMPLATE, align, similarity_transform

angles = st.floats(-3.1, 3.1)
sizes = st.floats(0.05, 20)
shifts = st.floats(-1000, 1000)


@given(angles, sizes, shifts, shifts)
def test_a_rotated_scaled_and_moved_template_is_mapped_back(angle: float, size: float, dx: float, dy: float) -> None:
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = np.asarray(size * TEMPLATE @ rotation.T + [dx, dy], np.float32)
    matrix = similarity_transform(landmarks)
    mapped = landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert mapped == pytest.approx(TEMPLATE, abs=0.05)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_landmarks_that_coincide_are_aligned_without_scaling() -> None:
    landmarks = np.full((5, 2), 50, np.float32)
    assert similarity_transform(landmarks)[:, :2] == pytest.approx(np.eye(2))
    crop = align(np.full((100, 100, 3), 9, np.uint8), landmarks)
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)


def test_a_large_face_gives_the_crop_of_the_same_face_shrunk_and_keeps_its_place() -> None:
    small = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (150, 130, 3)).astype(np.uint8), (0, 0), 2.5)
    landmarks = np.asarray(TEMPLATE + np.array([9, 21]), np.float32)
    expected = align(np.asarray(small, np.uint8), landmarks)
    for factor in (2, 3, 4, 7.3):
        large = np.asarray(cv2.resize(small, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)
        scale = np.array(large.shape[1::-1]) / small.shape[1::-1]
        found = align(large, np.asarray((landmarks + 0.5) * scale - 0.5, np.float32))
        assert np.abs(found.astype(int) - expected)[2:-2, 2:-2].mean() < 2.5, factor


def test_noise_of_a_large_face_is_averaged() -> None:
    noise = np.random.default_rng(2).normal(128, 40, (1200, 1200, 3)).clip(0, 255).astype(np.uint8)
    assert align(noise, np.asarray(TEMPLATE * 8 + 100, np.float32)).std() < 12


@pytest.mark.parametrize("place", [(-1e4, 0), (0, 1e5), (1e6, 1e6)])
@pytest.mark.parametrize("size", [1e-3, 1.0, 8.0, 500.0])
def test_a_face_outside_the_picture_is_black(place: tuple[float, float], size: float) -> None:
    landmarks = np.asarray(TEMPLATE * size + np.array(place) * max(size, 1), np.float32)
    assert not align(np.full((40, 30, 3), 9, np.uint8), landmarks).any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 700, 3), (700, 2, 3)])
@pytest.mark.parametrize("size", [1e-4, 0.3, 3.0, 4e4])
def test_a_picture_of_a_few_pixels_is_aligned(shape: tuple[int, int, int], size: float) -> None:
    crop = align(np.full(shape, 9, np.uint8), np.asarray(TEMPLATE * size, np.float32))
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert set(np.unique(crop)) <= set(range(10))


@pytest.mark.parametrize("ratio", [1.3, 1.6, 1.9, 2.6, 3.5])
def test_dots_of_a_picture_in_black_and_white_do_not_alias(ratio: float) -> None:
    side = round(150 * ratio)
    dots = np.indices((side, side)).sum(0) % 2 * 255  # a grey of 127.5, dithered
    picture = np.repeat(dots[..., None], 3, axis=2).astype(np.uint8)
    assert align(picture, np.asarray(TEMPLATE * ratio + 10, np.float32)).std() < 20
