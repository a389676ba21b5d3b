"""Non-maximum suppression of faces."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recognizer.detection.scrfd import suppress
from recognizer.faces import Faces


def test_nms_keeps_the_highest_score_of_overlapping_faces(faces: Callable[..., Faces]) -> None:
    kept = suppress(faces([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]], [0.9, 0.8, 0.7]))
    assert kept.scores == pytest.approx([0.9, 0.7])
    assert not len(suppress(Faces.empty()))
