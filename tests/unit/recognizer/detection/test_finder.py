"""The faces of whole pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import find_model
from facet.runtime.pictures import decode
from recognizer.detection.finder import CELL, TRACE_SCORE, FaceFinder, FinderSettings, frames
from recognizer.detection.scrfd import ScrfdDetector

if TYPE_CHECKING:
    from tests.conftest import Pictures


@given(st.integers(64, 4096))
def test_frames_are_few_multiples_of_the_stride_and_hold_any_picture_of_the_size(fine_side: int) -> None:
    found = frames(fine_side)
    assert len(found) <= 12
    assert all(side % CELL == 0 for frame in found for side in frame)
    assert any(width == height and fine_side <= width < fine_side + CELL for width, height in found)


@pytest.mark.parametrize("fine_side", [64, 800])
def test_a_picture_of_any_shape_has_a_frame_that_holds_it(fine_side: int) -> None:
    settings = FinderSettings(fine_side=fine_side)
    finder = FaceFinder(ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path)), settings)
    for shape in ((700, 800, 3), (800, 450, 3), (3, 900, 3), (33, 20, 3), (2000, 2000, 3)):
        assert not len(finder.find(np.zeros(shape, np.uint8), np.array([[0, 0, shape[1], shape[0]]], np.float32)))


def test_context_raises_the_candidate_score_to_the_minimum_score() -> None:
    settings = FinderSettings()
    low = settings.candidate_score
    assert low + settings.context * (1 - low) == pytest.approx(settings.min_score)


@pytest.mark.parametrize("min_score", [0.3, 0.02, 0.001])
def test_a_lower_minimum_score_adds_faces_and_changes_none(pictures: Pictures, min_score: float) -> None:
    settings = FinderSettings()
    session = OnnxSession(find_model("scrfd_500m_bnkps").path)
    finder = FaceFinder(ScrfdDetector(session, min_score=settings.candidate_score), settings)
    added = 0
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
        added += len(together) - count
        fewer = finder.find(picture, persons, min_score=0.7)
        assert fewer.scores.tolist() == alone.scores[alone.scores >= 0.7].tolist()
    assert added


def test_a_lower_minimum_score_and_a_person_change_no_trace(pictures: Pictures) -> None:
    """They decide whether the picture is looked at in other turns."""
    finder = FaceFinder(ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path)))
    noise = np.random.default_rng(2).normal(128, 25, (320, 320, 3)).clip(0, 255).astype(np.uint8)
    traces = []
    for picture in (noise, decode(pictures.street, max_pixels=10**8)):
        person = np.array([[0, 0, picture.shape[1], picture.shape[0]]], np.float32)
        alone = finder.find_with_trace(picture, person[:0])[1]
        for persons, least in ((person[:0], 0.001), (person, None), (person, 0.001)):
            assert finder.find_with_trace(picture, persons, min_score=least)[1] == alone
        traces.append(alone)
    assert traces[0] == 0 < TRACE_SCORE <= traces[1]


def test_tiny_and_narrow_pictures_are_searched() -> None:
    settings = FinderSettings()
    session = OnnxSession(find_model("scrfd_500m_bnkps").path)
    finder = FaceFinder(ScrfdDetector(session, min_score=settings.candidate_score), settings)
    for shape in ((1, 1, 3), (1, 5000, 3), (5000, 1, 3), (20, 4000, 3)):
        everything = np.array([[0, 0, shape[1], shape[0]]], np.float32)
        assert not len(finder.find(np.zeros(shape, np.uint8), everything))
