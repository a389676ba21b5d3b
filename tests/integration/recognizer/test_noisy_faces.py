"""Faces that are printed in dots or noisy are found, and recognised better than from their own pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recognizer import choice
from recognizer.alignment import align
from recognizer.faces import Faces
from recognizer.models.loading import load_models
from recognizer.noisy_faces import MOST, SmoothAlignment
from recognizer.pipeline import FacePipeline
from recognizer.quality import QualityLimits, measure
from recognizer.search.orientation import surroundings, turned
from recognizer.settings import ModelSettings

if TYPE_CHECKING:
    from recognizer.analysis import AlignedFace
    from tests.conftest import Pictures

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline(load_models(ModelSettings(objects=None, runtime="onnxruntime")))


@pytest.fixture(scope="module")
def portrait(pictures: Pictures) -> Picture:
    picture = np.asarray(cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    side = min(picture.shape[:2])
    return picture[:side, (picture.shape[1] - side) // 2 :][:, :side]


def enlarged(picture: Picture, side: int) -> Picture:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def halftone(picture: Picture, side: int, cell: float = 4) -> Picture:
    """Dots of ``cell`` pixels at 45 degrees."""
    grey = cv2.cvtColor(enlarged(picture, side), cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    rows, columns = np.mgrid[:side, :side] * np.pi * np.sqrt(2) / cell
    dots = (grey > (np.cos(columns + rows) + np.cos(rows - columns)) / 4 + 0.5).astype(np.uint8) * 255
    return np.asarray(cv2.cvtColor(cv2.GaussianBlur(dots, (0, 0), 0.7), cv2.COLOR_GRAY2BGR), np.uint8)


def found(
    pipeline: FacePipeline, picture: Picture, turn: int = 0, *, closer: bool = True
) -> tuple[AlignedFace, Picture]:
    """The central face, and its crop from the picture's own pixels and its first landmarks."""
    analysis = pipeline.analyze_picture(picture, turn=turn, closer=closer)
    assert len(analysis.faces), "no face is found"
    (face,) = pipeline.align(analysis, lambda faces: choice.central(faces, picture.shape))
    return face, align(picture, face.faces.landmarks[0])


def similarities(pipeline: FacePipeline, reference: Picture, *crops: Picture) -> list[float]:
    first, *others = pipeline.embed_crops([reference, *crops])
    return [float(other @ first) for other in others]


def test_a_clean_face_is_aligned_from_its_own_pixels(pipeline: FacePipeline, portrait: Picture) -> None:
    for side in (250, 430, 900):
        face, own = found(pipeline, enlarged(portrait, side))
        assert np.array_equal(face.crop, own), side


@pytest.mark.parametrize("turn", [0, 90])
def test_a_face_printed_in_dots_is_more_similar_than_from_its_own_pixels(
    pipeline: FacePipeline, portrait: Picture, turn: int
) -> None:
    clean, _ = found(pipeline, enlarged(portrait, 250))
    picture = halftone(portrait, 430)
    face, own = found(pipeline, turned(picture, -turn % 360), turn, closer=False)
    smooth, rough = similarities(pipeline, clean.crop, face.crop, own)
    assert smooth >= rough + 0.05


def test_the_noise_of_a_face_is_that_of_its_own_pixels(pipeline: FacePipeline, portrait: Picture) -> None:
    face, own = found(pipeline, halftone(portrait, 430))
    assert face.quality == measure(face.faces.boxes[0], face.faces.landmarks[0], own)
    assert face.quality.noise > QualityLimits().max_noise, "enrolment takes a face that is printed in dots"


def test_a_face_that_dots_hide_is_found(pipeline: FacePipeline, pictures: Pictures) -> None:
    six = np.asarray(cv2.imdecode(np.frombuffer(pictures.six, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    for box in pipeline.analyze_picture(six, turn=0).faces.boxes:
        left, top, right, bottom = surroundings(six.shape, box)
        side = min(right - left, bottom - top)
        dots = halftone(six[top : top + side, left : left + side], 430)
        face, _ = found(pipeline, dots)
        assert face.faces.scores[0] >= 0.5


def test_a_crowd_of_noisy_faces_is_aligned_again_in_part(pipeline: FacePipeline, portrait: Picture) -> None:
    picture = halftone(portrait, 430)
    face, own = found(pipeline, picture)
    alignment = SmoothAlignment(lambda _, __: Faces.empty())
    for _ in range(MOST):
        assert alignment.helps(face.quality, face.faces)
        assert alignment.align(picture, face.faces, 0, own) is own, "a face that is not found again keeps its crop"
    assert not alignment.helps(face.quality, face.faces)
