"""The choice of one face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recognizer.choice import central, largest, nearest, only
from recognizer.errors import FaceNotFound, SeveralFaces
from recognizer.faces import Faces

BOX = np.array([50, 50, 60, 60], np.float32)


def test_the_central_face_weighs_size_against_distance(faces: Callable[..., Faces]) -> None:
    near, far = [45, 45, 55, 55], [0, 0, 20, 20]
    assert central(faces([far, near]), (100, 100)) == 1
    assert largest(faces([far, near])) == 0
    assert nearest(faces([far, near]), np.array([44, 44, 56, 56], np.float32)) == 1


@pytest.mark.parametrize(
    "choose", [only, largest, lambda faces: central(faces, (9, 9)), lambda faces: nearest(faces, BOX)]
)
def test_a_picture_without_faces_offers_no_choice(choose: Callable[[Faces], int]) -> None:
    with pytest.raises(FaceNotFound):
        choose(Faces.empty())


def test_a_box_beside_all_faces_chooses_none(faces: Callable[..., Faces]) -> None:
    with pytest.raises(FaceNotFound):
        nearest(faces([[0, 0, 10, 10]]), BOX)


def test_only_a_single_face_needs_no_choice(faces: Callable[..., Faces]) -> None:
    assert only(faces([[0, 0, 1, 1]])) == 0
    with pytest.raises(SeveralFaces, match="2 faces"):
        only(faces([[0, 0, 1, 1], [2, 2, 3, 3]]))
