"""Drift of the serving runtime from float32 on ONNX Runtime, which share one embedding contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from detector.yolo import YoloDetector
from facet.runtime.inference.session import OnnxSession
from facet.runtime.inference.sessions import open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import find_model
from facet.runtime.pictures import decode
from recognizer.alignment import align
from recognizer.detection.finder import FaceFinder
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.embedding import Embedder
from recognizer.models.loading import PROPORTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tests.conftest import Pictures

NO_PERSONS = np.empty((0, 4), np.float32)


@pytest.fixture(scope="module")
def decoded(pictures: Pictures) -> Sequence[NDArray[np.uint8]]:
    encoded = (pictures.yaoming, pictures.six, pictures.players, pictures.street)
    return [decode(data, max_pixels=10**8) for data in encoded]


def test_faces_and_embeddings_of_the_serving_runtime_are_close_to_float32(decoded: Sequence[NDArray[np.uint8]]) -> None:
    faces, file = find_model("scrfd_500m_bnkps").path, find_model("w600k_mbf")
    exact = FaceFinder(ScrfdDetector(OnnxSession(faces)))
    served = FaceFinder(ScrfdDetector(open_session(faces, slots=InferenceSlots(1, 2))))
    exact_embedder = Embedder(OnnxSession(file.path), file)
    served_embedder = Embedder(open_session(file.path, slots=InferenceSlots(1, 2)), file)
    assert served_embedder.contract == exact_embedder.contract
    for picture in decoded:
        one, other = exact.find(picture, NO_PERSONS), served.find(picture, NO_PERSONS)
        assert len(one) == len(other)
        order = np.abs(one.boxes[:, None] - other.boxes[None]).sum(-1).argmin(1)
        assert np.abs(one.boxes - other.boxes[order]).max(initial=0) <= 0.5
        assert np.abs(one.landmarks - other.landmarks[order]).max(initial=0) <= 0.5
        assert np.abs(one.scores - other.scores[order]).max(initial=0) <= 0.01
        crops = [align(picture, landmarks) for landmarks in one.landmarks]
        assert (exact_embedder.embed(crops) * served_embedder.embed(crops)).sum(1).min(initial=1) >= 0.999


def test_objects_of_the_serving_runtime_are_close_to_float32(decoded: Sequence[NDArray[np.uint8]]) -> None:
    path = find_model("yolo11n").path
    exact = YoloDetector(OnnxSession(path), proportions=PROPORTIONS)
    served = YoloDetector(open_session(path, slots=InferenceSlots(1, 2)), proportions=PROPORTIONS)
    drift = []
    for picture in decoded:
        one, other = exact.detect(picture).above(0.5), served.detect(picture)
        distances = np.abs(one.boxes[:, None] - other.boxes[None]).max(-1)
        nearest = distances.argmin(1)
        assert (one.class_ids == other.class_ids[nearest]).all()
        drift += distances.min(1).tolist()
    assert np.median(drift) <= 0.5
