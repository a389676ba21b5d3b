"""Large pictures: few pixels to look at, more where a small face needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facet.runtime.pictures import DecodedPicture, decode_reduced
from recognizer.alignment import TEMPLATE, align
from recognizer.analysis import AlignedFace
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns, finish
from recognizer.resolution import landmarks_in_decoded, reduced
from recognizer.settings import ModelSettings, PipelineSettings
from recognizer.sources import Encoded, decode_here
from tests.unit.runtime.pictures.samples import encode, pixels

if TYPE_CHECKING:
    from tests.conftest import Pictures

WIDTH, HEIGHT = 4000, 2400
MAX_DIFFERENCE = 0.005


class Decodings:
    """Decodes, and records the scale and the size of each result."""

    def __init__(self) -> None:
        self.scales: list[int] = []

    def __call__(self, data: bytes, *, max_pixels: int, longer_side: int | None = None) -> Turns[DecodedPicture]:
        picture = yield from decode_here(data, max_pixels=max_pixels, longer_side=longer_side)
        self.scales.append(picture.placement.scale)
        return picture


@pytest.fixture(scope="module")
def portrait(pictures: Pictures) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def photo(portrait: NDArray[np.uint8], *heights: int) -> Encoded:
    """A JPEG with the portrait at these heights, side by side."""
    canvas = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    left = 100
    for height in heights:
        width = height * portrait.shape[1] // portrait.shape[0]
        interpolation = cv2.INTER_AREA if height < portrait.shape[0] else cv2.INTER_CUBIC
        canvas[50 : 50 + height, left : left + width] = cv2.resize(
            portrait, (width, height), interpolation=interpolation
        )
        left += width + 100
    return Encoded(cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())


def faces_of(source: Encoded, *, scaled: bool) -> tuple[FacePipeline, list[AlignedFace], list[int]]:
    decodings = Decodings()
    settings = PipelineSettings(scaled_decoding=scaled)
    pipeline = FacePipeline(load_models(ModelSettings(objects=None)), settings, decodings)
    analysis, faces = finish(pipeline.analyze_and_align_in_turns(source))
    assert analysis.picture.shape == (HEIGHT, WIDTH, 3)
    assert not analysis.picture.pixels.size
    return pipeline, faces, decodings.scales


def test_several_chosen_faces_are_aligned_as_if_each_was_the_only_one(portrait: NDArray[np.uint8]) -> None:
    source, decodings = photo(portrait, 1500, 500, 260), Decodings()
    pipeline = FacePipeline(load_models(ModelSettings(objects=None)), PipelineSettings(), decodings)

    def crops(*chosen: int) -> list[NDArray[np.uint8]]:
        _, faces = finish(pipeline.analyze_and_align_in_turns(source, lambda _faces, _shape: chosen))
        return [face.crop for face in faces]

    alone = [crops(index)[0] for index in range(3)]
    decodings.scales.clear()
    together = crops(2, 0, 1)
    assert decodings.scales == [4, 1, 2], "looked at once, and decoded again for each face that is small"
    assert [np.array_equal(crop, alone[index]) for crop, index in zip(together, (2, 0, 1), strict=True)] == [True] * 3
    assert crops() == []


@pytest.mark.parametrize(("heights", "scales"), [((1800,), [4]), ((1800, 600), [4, 2]), ((1800, 260), [4, 1])])
def test_a_reduced_jpeg_gives_the_same_faces_and_is_decoded_again_only_for_small_ones(
    portrait: NDArray[np.uint8], heights: tuple[int, ...], scales: list[int]
) -> None:
    source = photo(portrait, *heights)
    pipeline, faces, decoded = faces_of(source, scaled=True)
    _, full_faces, full_decoded = faces_of(source, scaled=False)
    assert (decoded, full_decoded) == (scales, [1])
    assert len(faces) == len(full_faces) == len(heights)
    similarities = (pipeline.embed(faces) * pipeline.embed(full_faces)).sum(1)
    assert similarities.min() >= 1 - MAX_DIFFERENCE
    for face, full in zip(faces, full_faces, strict=True):
        assert np.abs(face.faces.boxes - full.faces.boxes).max() < 0.02 * full.quality.size


def test_a_picture_of_any_format_is_halved_by_means_before_it_is_looked_at() -> None:
    full = DecodedPicture.full(pixels(203, 150))
    half = reduced(full, 60)
    assert (half.placement.scale, half.shape) == (2, (150, 203, 3))
    assert np.array_equal(half.pixels, cv2.resize(full.pixels[:, :202], (101, 75), interpolation=cv2.INTER_AREA))
    assert reduced(full, 150) is full
    line = DecodedPicture.full(pixels(203, 1))
    assert reduced(line, 10) is line


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_of_any_size_is_looked_at_in_whole_pixels_whatever_its_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode("JPEG", pixels(811, 603), quality=97, exif=exif)
    small = decode_reduced(data, max_pixels=811 * 603, longer_side=200)
    look, place = reduced(small, 200), small.placement
    assert place.scale == 4
    assert look.pixels.shape[:2] == (place.height // 4, place.width // 4)
    assert 0 <= look.placement.left < 4
    assert 0 <= look.placement.top < 4
    landmarks = np.asarray(TEMPLATE * 2 + 50, np.float32)
    expected, found = (align(each.pixels, landmarks_in_decoded(landmarks, each.placement)) for each in (small, look))
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("place", [(3.0, 5.0), (161.5, 90.25), (400.0, 233.0), (-40.0, 517.0)])
def test_a_face_has_the_same_crop_in_a_picture_that_is_halved_before(place: tuple[float, float], scale: int) -> None:
    full = DecodedPicture.full(pixels(1003, 1109))
    small = reduced(full, 1109 // scale)
    assert small.placement.scale == scale
    landmarks = np.asarray(TEMPLATE * 5.3 + np.array(place), np.float32)
    expected = align(full.pixels, landmarks)
    found = align(small.pixels, landmarks_in_decoded(landmarks, small.placement))
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_a_picture_that_is_there_at_full_size_is_decoded_once_however_small_its_faces(
    portrait: NDArray[np.uint8],
) -> None:
    small = cv2.resize(portrait, (117, 144), interpolation=cv2.INTER_AREA)
    source, decodings = Encoded(cv2.imencode(".png", small)[1].tobytes()), Decodings()
    pipeline = FacePipeline(load_models(ModelSettings(objects=None)), decode=decodings)
    _, (face,) = finish(pipeline.analyze_and_align_in_turns(source))
    assert face.quality.size < 80  # smaller than the face in a crop
    assert decodings.scales == [1]
