"""InsightFace's own SCRFD at 640x640, as most of its users run it, on the packaged weights: what to compare with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.labelled import LabelledPicture
from facet.evaluation.detection.matching import Detections
from facet.evaluation.detection.run import EvaluatedPicture
from facet.evaluation.rotation import box_rotated_back, rotated
from facet.runtime.models import find_model
from facet.runtime.pictures import PictureError, decode

SIDE = 640
"""Pixels of the square input: InsightFace's usual ``det_size``."""
DEFAULT_SCORE = 0.5
"""InsightFace's default minimum score (``det_thresh``)."""

_MODEL = "scrfd_500m_bnkps"
_MAX_PIXELS = 200_000_000
_UNREADABLE = "UNREADABLE"


def is_available() -> bool:
    """Whether the package insightface (extra "benchmarks") is installed."""
    return importlib.util.find_spec("insightface") is not None


class Scrfd640:
    """Detects faces with InsightFace's class SCRFD: its letterbox, its decoding, its NMS.

    Args:
        min_score: minimum score of a face, [0, 1].

    Raises:
        ImportError: insightface is not installed.
        ModelError: the packaged detector is missing or damaged.
    """

    def __init__(self, min_score: float) -> None:
        import onnxruntime
        from insightface.model_zoo.scrfd import SCRFD

        path = find_model(_MODEL).path
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._detector = SCRFD(str(path), session=session)
        self._detector.prepare(-1, det_thresh=min_score, input_size=(SIDE, SIDE))

    def detect(self, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Detect the faces of a picture, BGR ``(h, w, 3)``: x1, y1, x2, y2 and score, ``(n, 5)``."""
        found, _ = self._detector.detect(picture)
        return np.asarray(found, np.float64)


def run_scrfd640(
    pictures: Sequence[LabelledPicture],
    images: Path,
    *,
    min_score: float,
    rotate: int = 0,
    advance: Callable[[], None],
) -> list[EvaluatedPicture]:
    """Detect the faces of every picture. Those of a picture that cannot be decoded count as missed.

    Args:
        pictures: the labelled pictures.
        images: folder of the pictures.
        min_score: minimum score of a face, [0, 1].
        rotate: turn every picture clockwise by so many degrees first. Detections are turned back.
        advance: called once per finished picture.
    """
    detector = Scrfd640(min_score)
    evaluated = []
    for labels in pictures:
        try:
            found, failure = _detections(detector, images / labels.image, rotate), ""
        except (OSError, PictureError):
            found, failure = Detections.none(), _UNREADABLE
        evaluated.append(EvaluatedPicture(labels, found, failure))
        advance()
    return evaluated


def _detections(detector: Scrfd640, file: Path, rotate: int) -> Detections:
    source = rotated(file, rotate)
    picture = source if isinstance(source, np.ndarray) else decode(file.read_bytes(), max_pixels=_MAX_PIXELS)
    found = detector.detect(picture)
    height, width = picture.shape[:2]
    boxes = [box_rotated_back((x1, y1, x2, y2), rotate, width, height) for x1, y1, x2, y2 in found[:, :4]]
    return Detections(np.array(boxes, np.float64).reshape(-1, 4), found[:, 4], np.zeros(len(found), np.intp))
