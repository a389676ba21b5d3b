"""Sets of faces."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recognizer.faces import Faces


def test_merged_faces_are_in_descending_order_of_score(faces: Callable[..., Faces]) -> None:
    merged = Faces.merged(
        [faces([[0, 0, 1, 1]], [0.3]), Faces.empty(), faces([[2, 2, 3, 3], [4, 4, 5, 5]], [0.9, 0.2])]
    )
    assert merged.scores == pytest.approx([0.9, 0.3, 0.2])
    assert merged.boxes[:, 0].tolist() == [2, 0, 4]
