"""What serves, against float32 on ONNX Runtime: the embedding contract does not tell the two apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from detector.yolo import YoloDetector
from facet.runtime.inference_slots import InferenceSlots
from facet.runtime.models import find_model
from facet.runtime.pictures import decode
from facet.runtime.session import OnnxSession
from facet.runtime.sessions import open_session
from recognizer.alignment import align
from recognizer.embedding import Embedder
from recognizer.finder import FaceFinder
from recognizer.models import PROPORTIONS
from recognizer.scrfd import ScrfdDetector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tests.conftest import Pictures

NOBODY = np.empty((0, 4), np.float32)


@pytest.fixture(scope="module")
def shown(pictures: Pictures) -> Sequence[NDArray[np.uint8]]:
    encoded = (pictures.yaoming, pictures.six, pictures.players, pictures.street)
    return [decode(data, max_pixels=10**8) for data in encoded]


def test_faces_and_their_embeddings_stay_where_they_are(shown: Sequence[NDArray[np.uint8]]) -> None:
    faces, file = find_model("scrfd_500m_bnkps").path, find_model("w600k_mbf")
    exact = FaceFinder(ScrfdDetector(OnnxSession(faces)))
    served = FaceFinder(ScrfdDetector(open_session(faces, slots=InferenceSlots(1, 2))))
    exactly = Embedder(OnnxSession(file.path), file)
    as_served = Embedder(open_session(file.path, slots=InferenceSlots(1, 2)), file)
    assert as_served.contract == exactly.contract
    for picture in shown:
        one, other = exact.find(picture, NOBODY), served.find(picture, NOBODY)
        assert len(one) == len(other)
        order = np.abs(one.boxes[:, None] - other.boxes[None]).sum(-1).argmin(1)
        assert np.abs(one.boxes - other.boxes[order]).max(initial=0) <= 0.5
        assert np.abs(one.landmarks - other.landmarks[order]).max(initial=0) <= 0.5
        assert np.abs(one.scores - other.scores[order]).max(initial=0) <= 0.01
        crops = [align(picture, landmarks) for landmarks in one.landmarks]
        assert (exactly.embed(crops) * as_served.embed(crops)).sum(1).min(initial=1) >= 0.999


def test_objects_that_are_sure_stay_where_they_are(shown: Sequence[NDArray[np.uint8]]) -> None:
    path = find_model("yolo11n").path
    exact = YoloDetector(OnnxSession(path), proportions=PROPORTIONS)
    served = YoloDetector(open_session(path, slots=InferenceSlots(1, 2)), proportions=PROPORTIONS)
    apart = []
    for picture in shown:
        one, other = exact.detect(picture).above(0.5), served.detect(picture)
        distances = np.abs(one.boxes[:, None] - other.boxes[None]).max(-1)
        nearest = distances.argmin(1)
        assert (one.class_ids == other.class_ids[nearest]).all()
        apart += distances.min(1).tolist()
    assert np.median(apart) <= 0.5
