"""A face detector of a fixed size becomes one of any size."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.runtime.cores import usable_cores
from facet.runtime.inference.session import InferenceFailed, OnnxSession, Session
from facet.runtime.inference.sessions import open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import UnsupportedModel
from recognizer.detection.finder import FinderSettings, frames
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.faces import Faces
from recognizer.models.adding.graphs import taking_any_size
from recognizer.models.adding.reference_faces import reference_pictures

_PIXELS_APART = 0.5
_SCORES_APART = 0.005
_SURE = 0.7
"""Faces of this score are found in frames of other sizes as well."""


def read_detector(content: bytes, session: OnnxSession, name: str) -> bytes:
    """Give an SCRFD model open height and width; one that has them comes back as it is.

    Args:
        content: the ONNX file.
        session: of the same file.
        name: of the model, for messages.

    Raises:
        UnsupportedModel: it is no SCRFD model with landmarks, finds no faces, or cannot be converted.
        ModelError: the package onnx is needed and missing.
    """
    detector = ScrfdDetector(session)
    if detector.fixed_size is None:
        return content
    height, width = detector.fixed_size
    if session.input.shape[0] not in (None, 1) or not height or not width or height % 32 or width % 32:
        raise UnsupportedModel(
            f"{name}: expected one picture whose sides are multiples of 32, found {session.input.shape}"
        )
    frame = (width, height)
    expected = _found(detector, frame)
    if not expected[0].scores.max(initial=0.0) >= _SURE:
        raise UnsupportedModel(f"{name} finds no faces in a picture that shows some")
    converted = taking_any_size(content, name)
    slots = InferenceSlots.of("latency", usable_cores())
    with tempfile.TemporaryDirectory(prefix="facet-add-") as folder:
        path = Path(folder) / f"{Path(name).stem}.onnx"
        path.write_bytes(converted)
        try:
            sessions: list[Session] = [
                OnnxSession(path, slots=slots),
                open_session(path, slots=slots, precision="fp32"),
            ]
            for opened in sessions:
                _check(ScrfdDetector(opened), frame, expected, f"{name}, made to take any size, on {opened.runtime}")
        except InferenceFailed as error:
            raise UnsupportedModel(
                f"{name} takes {frame[0]}x{frame[1]} pixels only, and cannot be made to take other sizes: "
                f"{' '.join(str(error).split())}"
            ) from error
    return converted


def _check(detector: ScrfdDetector, own: tuple[int, int], expected: list[Faces], name: str) -> None:
    """Check that a converted detector finds the same faces in the original's size, and the sure ones in others."""
    for found, wanted in zip(_found(detector, own), expected, strict=True):
        if (
            len(found) != len(wanted)
            or not _close(found.boxes, wanted.boxes, _PIXELS_APART)
            or not _close(found.scores, wanted.scores, _SCORES_APART)
        ):
            raise UnsupportedModel(f"{name}, finds other faces than before in a picture of {own[0]}x{own[1]} pixels")
    wide = max(frames(FinderSettings().fine_side), key=lambda frame: frame[0] / frame[1])
    for frame in (wide, wide[::-1]):
        for found, wanted in zip(_found(detector, frame), expected, strict=True):
            sure = wanted.take(np.flatnonzero(wanted.scores >= _SURE))
            if len(found) < len(sure) / 2:
                raise UnsupportedModel(
                    f"{name}, finds {len(found)} of {len(sure)} faces in a picture of {frame[0]}x{frame[1]} pixels"
                )


def _found(detector: ScrfdDetector, frame: tuple[int, int]) -> list[Faces]:
    return [detector.detect(picture, frame) for picture in reference_pictures()]


def _close(values: NDArray[np.float32], others: NDArray[np.float32], apart: float) -> bool:
    return bool((np.abs(values - others) <= apart).all())
