"""SCRFD, InsightFace's face detector (Guo et al., 2021, arXiv:2105.04714).

InsightFace's own class only supports square inputs. This one takes an input of any size and places the picture in it
at any scale. With the same input size and scale, both find the same faces, with two exceptions. If the picture shrinks
to less than half, this one averages all its pixels, while InsightFace skips some (:mod:`facet.runtime.resampling`). And
this one maps each axis back by its own scale: sides are whole pixels, so the scales differ, in a panorama by a percent.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.inference.session import Normalization, Session
from facet.runtime.models import UnsupportedModel
from facet.runtime.resampling import resized
from recognizer.faces import Faces

STRIDES = (8, 16, 32)
ANCHORS_PER_CELL = 2
NMS_IOU = 0.4
PIXELS = Normalization(mean=127.5, scale=128.0)


class ScrfdDetector:
    """Detects faces with five landmarks.

    Args:
        session: an SCRFD model with landmarks: nine outputs (scores, boxes and landmarks at three strides), with or
            without a batch axis.
        min_score: default minimum score of a face, [0, 1].

    Raises:
        UnsupportedModel: the outputs are different.
    """

    def __init__(self, session: Session, *, min_score: float = 0.5) -> None:
        widths = [output.shape[-1] if output.shape else None for output in session.outputs]
        if widths != [1, 1, 1, 4, 4, 4, 10, 10, 10]:
            raise UnsupportedModel(
                "expected an SCRFD model with nine outputs, whose last axes are 1, 1, 1, 4, 4, 4, 10, 10, 10, "
                f"found {[(output.name, output.shape) for output in session.outputs]}"
            )
        self._session = session.normalizing(PIXELS)
        self._min_score = min_score
        self._batched = len(session.outputs[0].shape) == 3

    @property
    def fixed_size(self) -> tuple[int | None, ...] | None:
        """Height and width of the model's input if one of them is fixed; ``None`` if it takes any frame."""
        size = self._session.input.shape[2:]
        return None if size == (None, None) else size

    def detect(
        self,
        picture: NDArray[np.uint8],
        frame: tuple[int, int],
        min_score: float | None = None,
        *,
        longest: float | None = None,
    ) -> Faces:
        """Detect the faces of a picture.

        Args:
            picture: upright BGR ``(h, w, 3)``.
            frame: width and height of the network's input, multiples of 32. The picture is scaled and placed in its
                top-left corner.
            min_score: minimum score of a face, [0, 1]; the detector's own if ``None``. A lower score adds faces and
                changes none, because a face is only ever suppressed by one with a higher score.
            longest: longer side of the scaled picture, pixels; as long as fits if ``None``.
        """
        canvas = np.zeros((frame[1], frame[0], 3), np.uint8)
        scales = _scale_into(canvas, picture, longest)
        outputs = self._session.run(canvas[None])
        if self._batched:
            outputs = [output[0] for output in outputs]
        return self._decode(outputs, frame, scales, self._min_score if min_score is None else min_score)

    def _decode(
        self,
        outputs: list[NDArray[np.float32]],
        frame: tuple[int, int],
        scales: NDArray[np.float64],
        min_score: float,
    ) -> Faces:
        boxes, landmarks, scores = [], [], []
        for level, stride in enumerate(STRIDES):
            level_scores = outputs[level][:, 0]
            found = np.flatnonzero(level_scores >= min_score)
            if not found.size:
                continue
            centres = _anchor_centres(frame, stride)[found]
            distances = outputs[level + 3][found] * stride
            boxes.append(np.hstack((centres - distances[:, :2], centres + distances[:, 2:])))
            offsets = outputs[level + 6][found].reshape(-1, 5, 2) * stride
            landmarks.append(centres[:, None] + offsets)
            scores.append(level_scores[found])
        if not scores:
            return Faces.empty()
        faces = Faces(
            (np.concatenate(boxes) / np.tile(scales, 2)).astype(np.float32),
            (np.concatenate(landmarks) / scales).astype(np.float32),
            np.concatenate(scores).astype(np.float32),
        )
        return suppress(faces)


def suppress(faces: Faces, iou: float = NMS_IOU) -> Faces:
    """Apply greedy NMS as InsightFace does: with inclusive pixel coordinates, so that a box is 1 pixel wider."""
    return faces.take(unsuppressed(faces, iou))


def unsuppressed(faces: Faces, iou: float = NMS_IOU) -> NDArray[np.intp]:
    """Indices of the faces that :func:`suppress` keeps, in descending order of score."""
    if not len(faces):
        return np.empty(0, np.intp)
    rectangles = np.hstack((faces.boxes[:, :2], faces.boxes[:, 2:] - faces.boxes[:, :2] + 1))
    return np.asarray(cv2.dnn.NMSBoxes(rectangles.tolist(), faces.scores.tolist(), 0.0, iou), np.intp)


def _scale_into(canvas: NDArray[np.uint8], picture: NDArray[np.uint8], longest: float | None) -> NDArray[np.float64]:
    """Scale a picture into the top-left corner of a canvas; return canvas pixels per picture pixel, ``(x, y)``."""
    height, width = picture.shape[:2]
    frame_height, frame_width = canvas.shape[:2]
    if longest is not None:
        frame_height, frame_width = (min(side, round(longest)) for side in (frame_height, frame_width))
    if height * frame_width > width * frame_height:
        new_height, new_width = frame_height, max(1, int(frame_height * width / height))
    else:
        new_height, new_width = max(1, int(frame_width * height / width)), frame_width
    canvas[:new_height, :new_width] = resized(picture, new_width, new_height)
    return np.array([new_width / width, new_height / height])


@lru_cache(maxsize=256)
def _anchor_centres(frame: tuple[int, int], stride: int) -> NDArray[np.float32]:
    """Float32 ``(cells * ANCHORS_PER_CELL, 2)``: the pixel from which each anchor's distances are measured."""
    width, height = frame
    rows, columns = np.mgrid[: height // stride, : width // stride]
    cells = np.stack((columns, rows), axis=-1).reshape(-1, 2) * stride
    return np.repeat(cells, ANCHORS_PER_CELL, axis=0).astype(np.float32)
