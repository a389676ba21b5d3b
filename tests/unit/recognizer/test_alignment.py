"""Alignment of a face to the ArcFace template."""

from __future__ import annotations

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
