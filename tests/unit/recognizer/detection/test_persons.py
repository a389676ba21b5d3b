"""Faces of persons, and heads of persons without a face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recognizer.detection.persons import faces_of_persons, head_region
from recognizer.faces import Faces


def test_a_person_has_at_most_one_face_and_a_face_at_most_one_person(faces: Callable[..., Faces]) -> None:
    persons = np.array([[0, 0, 100, 300], [50, 0, 150, 300]], np.float32)
    heads = faces([[80, 10, 120, 60], [30, 10, 70, 60], [40, 200, 60, 220], [300, 10, 340, 60]])
    assert faces_of_persons(heads, persons).tolist() == [1, 0, -1, -1]
    assert faces_of_persons(Faces.empty(), persons).tolist() == []
    assert faces_of_persons(heads, np.empty((0, 4), np.float32)).tolist() == [-1] * 4


@given(
    st.tuples(st.floats(-50, 140), st.floats(-50, 90), st.floats(1, 300), st.floats(1, 300)),
    st.tuples(st.integers(1, 100), st.integers(1, 150)),
)
def test_the_head_region_lies_in_the_picture_and_is_not_empty(
    person: tuple[float, float, float, float], shape: tuple[int, int]
) -> None:
    x, y, width, height = person
    x, y = min(x, shape[1] - 1), min(y, shape[0] - 1)
    box = np.array([x, y, max(x + width, 1), max(y + height, 1)], np.float32)
    x1, y1, x2, y2 = head_region(box, shape)
    assert 0 <= x1 < x2 <= shape[1]
    assert 0 <= y1 < y2 <= shape[0]
