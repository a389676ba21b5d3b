"""More pixels of the same face never make a worse probe: clean, printed in dots, in black and white, or noisy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recognizer import choice
from recognizer.alignment import AVERAGE_FROM, align, similarity_transform
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings

if TYPE_CHECKING:
    from tests.conftest import Pictures

TOLERANCE = 0.06
"""Allowed loss of similarity from the picture shrunk first: where dots fall is chance."""
DOT_TOLERANCE = 0.12
"""The same for faces of less than twice the crop's size in halftone: a dot is 2 to 4 pixels of the crop."""
CLEAN_TOLERANCE = 0.01
SHRUNK = 400
RATIOS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.1, 2.3, 2.7, 3.2, 3.9, 4.1, 5.5, 7.9, 16.0)
"""Pixels of the picture per pixel of the crop, along a side."""

Picture = NDArray[np.uint8]


def enlarged(picture: Picture, side: int) -> Picture:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def clean(picture: Picture, side: int) -> Picture:
    return enlarged(picture, side)


def halftone(cell: float, angle: float) -> Callable[[Picture, int], Picture]:
    def scan(picture: Picture, side: int) -> Picture:
        grey = cv2.cvtColor(enlarged(picture, side), cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
        rows, columns = np.mgrid[:side, :side]
        turn = np.exp(1j * np.radians(angle)) * (columns + 1j * rows) * 2 * np.pi / cell
        dots = (grey > (np.cos(turn.real) + np.cos(turn.imag)) / 4 + 0.5).astype(np.uint8) * 255
        return np.asarray(cv2.cvtColor(cv2.GaussianBlur(dots, (0, 0), 0.7), cv2.COLOR_GRAY2BGR), np.uint8)

    return scan


def one_bit(picture: Picture, side: int) -> Picture:
    """Ordered dithering with Bayer's matrix of 4x4."""
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    limits = np.tile((order * 16 + 8), (side // 4, side // 4))
    grey = cv2.cvtColor(enlarged(picture, side), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor((grey > limits).astype(np.uint8) * 255, cv2.COLOR_GRAY2BGR), np.uint8)


def noisy(sigma: float) -> Callable[[Picture, int], Picture]:
    def grain(picture: Picture, side: int) -> Picture:
        noise = np.random.default_rng(4).normal(0, sigma, (side, side, 3))
        return np.asarray(np.clip(enlarged(picture, side) + noise, 0, 255), np.uint8)

    return grain


KINDS = {
    "clean": clean,
    "halftone 4 px, 45 degrees": halftone(4, 45),
    "halftone 5 px, 20 degrees": halftone(5, 20),
    "halftone 3 px, 75 degrees": halftone(3, 75),
    "1 bit": one_bit,
    "noise 60": noisy(60),
    "noise 30": noisy(30),
}


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline(load_models(ModelSettings(objects=None, runtime="onnxruntime")))


def probe(pipeline: FacePipeline, picture: Picture) -> NDArray[np.float32]:
    analysis = pipeline.analyze_picture(picture)
    assert len(analysis.faces), "no face is found"
    faces = pipeline.align(analysis, lambda faces: choice.central(faces, picture.shape))
    return np.asarray(pipeline.embed(faces)[0], np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [900, 1300])
def test_a_large_picture_is_as_similar_as_the_same_picture_shrunk(
    pipeline: FacePipeline, pictures: Pictures, kind: str, side: int
) -> None:
    face = np.asarray(cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    face = square(face)
    reference = probe(pipeline, enlarged(face, 250))
    large = KINDS[kind](face, side // 4 * 4)
    shrunk = np.asarray(cv2.resize(large, (SHRUNK, SHRUNK), interpolation=cv2.INTER_AREA), np.uint8)
    similarity, least = (float(probe(pipeline, each) @ reference) for each in (large, shrunk))
    assert similarity >= least - TOLERANCE


def allowed_loss(kind: str, ratio: float) -> float:
    if kind == "clean":
        return CLEAN_TOLERANCE
    return DOT_TOLERANCE if ratio < 2 and "halftone" in kind else TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_a_face_of_any_size_is_as_similar_as_the_same_face_shrunk_to_the_crop(
    pipeline: FacePipeline, pictures: Pictures, kind: str
) -> None:
    face = square(np.asarray(cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR), np.uint8))
    analysis = pipeline.analyze_picture(face, turn=0)
    landmarks = analysis.faces.landmarks[choice.central(analysis.faces, face.shape)]
    side = len(face) * float(np.hypot(*similarity_transform(landmarks)[0, :2]))

    def crop(picture: Picture) -> Picture:
        scale = len(picture) / len(face)
        return align(picture, np.asarray((landmarks + 0.5) * scale - 0.5, np.float32))

    crops = [crop(face)]
    for ratio in RATIOS:
        large = KINDS[kind](face, round(ratio * side) // 4 * 4)
        small = cv2.resize(large, (round(side), round(side)), interpolation=cv2.INTER_AREA)
        crops += [crop(large), crop(np.asarray(small, np.uint8))]
    reference, *embeddings = pipeline.embed_crops(crops)
    similarities = np.array(embeddings) @ reference
    for ratio, whole, shrunk in zip(RATIOS, similarities[0::2], similarities[1::2], strict=True):
        if ratio >= AVERAGE_FROM or kind != "1 bit":  # below, shrinking is little else than blurring
            assert whole >= shrunk - allowed_loss(kind, ratio), ratio


def square(picture: Picture) -> Picture:
    side = min(picture.shape[:2])
    return picture[:side, (picture.shape[1] - side) // 2 :][:, :side]
