"""SCRFD: where faces are, and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import find_model
from recognizer.detection.scrfd import ScrfdDetector, suppress
from recognizer.faces import Faces

if TYPE_CHECKING:
    from tests.conftest import Pictures


def test_nms_keeps_the_highest_score_of_overlapping_faces(faces: Callable[..., Faces]) -> None:
    kept = suppress(faces([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]], [0.9, 0.8, 0.7]))
    assert kept.scores == pytest.approx([0.9, 0.7])
    assert not len(suppress(Faces.empty()))


@pytest.mark.parametrize("wide", [True, False], ids=["wide", "tall"])
def test_faces_at_both_ends_of_a_panorama_are_where_they_are_though_its_shorter_side_is_rounded(
    pictures: Pictures, wide: bool
) -> None:
    portrait = np.asarray(cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    height, width = portrait.shape[:2]
    length, breadth = 4000, 304  # scaled to 800 by 60.8, which becomes 60
    canvas = np.full((breadth, length, 3) if wide else (length, breadth, 3), 120, np.uint8)
    first, last = ((5, 5), (length - width - 5, 5)) if wide else ((5, 5), (5, length - height - 5))
    for left, top in (first, last):
        canvas[top : top + height, left : left + width] = portrait
    frame = (800, 64) if wide else (64, 800)
    found = ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path), min_score=0.4).detect(canvas, frame)
    assert len(found) == 2
    one, other = found.take(np.argsort(found.boxes[:, 0 if wide else 1])).boxes
    assert np.abs(other - one - np.tile(np.subtract(last, first), 2)).max() < 12  # a pixel of the input is 5
