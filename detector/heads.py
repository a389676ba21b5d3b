"""Decoders of the supported kinds of YOLO output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DFL_BINS = 16
"""Bins of the distribution of each side's distance: ``reg_max`` of YOLOv8 and YOLO11."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Decoded boxes, in pixels of the model's input.

    Attributes:
        boxes: xyxy, float32 ``(n, 4)``.
        scores: score of the best class, [0, 1], float32 ``(n,)``.
        class_ids: the best class, int32 ``(n,)``.
        keypoints: x and y (and visibility, [0, 1]), float32 ``(n, k, 2 or 3)``; ``None`` without keypoints.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    keypoints: NDArray[np.float32] | None


class Head(Protocol):
    """Decodes one kind of YOLO output."""

    @property
    def kind(self) -> str:
        """The name of the kind."""

    @property
    def needs_nms(self) -> bool:
        """Whether several candidates may belong to the same object."""

    def decode(self, outputs: Sequence[NDArray[np.float32]], *, min_score: float) -> Candidates:
        """Return the candidates of one picture with scores above ``min_score``."""


@dataclass(frozen=True, slots=True)
class GridHead:
    """One column per grid cell: ``(1, 4 + classes + keypoints, cells)``.

    The heads of YOLOv8, YOLO11, YOLO12, and YOLO26 without its one-to-one branch, as exported by Ultralytics: centre x
    and y, width, height; class scores after the sigmoid; decoded keypoints.

    Attributes:
        classes: number of classes.
        keypoint_shape: as in :class:`~detector.metadata.ExportMetadata`.
    """

    classes: int
    keypoint_shape: tuple[int, int] | None

    @property
    def kind(self) -> str:
        """The name of the kind."""
        return "yolo-v8" if self.keypoint_shape is None else "yolo-pose"

    @property
    def needs_nms(self) -> bool:
        """Neighbouring cells detect the same object."""
        return True

    def decode(self, outputs: Sequence[NDArray[np.float32]], *, min_score: float) -> Candidates:
        """Return the candidates with scores above ``min_score``, in the order of the cells."""
        columns = outputs[0][0]
        scores = columns[4 : 4 + self.classes]
        cells = np.flatnonzero(scores.max(axis=0) > min_score)
        rows = columns[:, cells].T
        centres, halves = rows[:, :2], rows[:, 2:4] / 2
        scores = rows[:, 4 : 4 + self.classes]
        return Candidates(
            boxes=np.concatenate((centres - halves, centres + halves), axis=1),
            scores=scores.max(axis=1),
            class_ids=scores.argmax(axis=1).astype(np.int32),
            keypoints=_keypoints(rows[:, 4 + self.classes :], self.keypoint_shape),
        )


@dataclass(frozen=True, slots=True)
class EndToEndHead:
    """Final boxes: ``(1, rows, 6 + keypoints)`` with x1, y1, x2, y2, score, class, keypoints.

    The one-to-one branch of YOLO26 and YOLOv10, and any Ultralytics model with NMS inside the graph.

    Attributes:
        rows: number of rows.
        keypoint_shape: as in :class:`~detector.metadata.ExportMetadata`.
    """

    rows: int
    keypoint_shape: tuple[int, int] | None

    @property
    def kind(self) -> str:
        """The name of the kind."""
        return "yolo-end2end" if self.keypoint_shape is None else "yolo-end2end-pose"

    @property
    def needs_nms(self) -> bool:
        """Each object occurs once."""
        return False

    def decode(self, outputs: Sequence[NDArray[np.float32]], *, min_score: float) -> Candidates:
        """Return the candidates with scores above ``min_score``, in descending order of score."""
        rows = outputs[0][0]
        rows = rows[rows[:, 4] > min_score]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        return Candidates(
            boxes=rows[:, :4],
            scores=rows[:, 4],
            class_ids=rows[:, 5].astype(np.int32),
            keypoints=_keypoints(rows[:, 6:], self.keypoint_shape),
        )


@dataclass(frozen=True, slots=True)
class RawMapsHead:
    """The raw output of YOLOv8's last convolutions: a map ``(1, 64 + classes + keypoints, h, w)`` per stride.

    Some exports leave decoding to the caller, for example those of YOLO-face. It is the same as in ``Detect`` and
    ``Pose`` of Ultralytics: the distance of each side from the middle of the cell is the expectation over 16 bins, in
    strides; class scores and visibility go through the sigmoid; a keypoint is ``(2 * raw + cell) * stride``.

    Attributes:
        classes: number of classes.
        keypoint_shape: as in :class:`~detector.metadata.ExportMetadata`.
        strides: input pixels per cell, for each map.
    """

    classes: int
    keypoint_shape: tuple[int, int] | None
    strides: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The name of the kind."""
        return "yolo-raw" if self.keypoint_shape is None else "yolo-raw-pose"

    @property
    def needs_nms(self) -> bool:
        """Neighbouring cells detect the same object."""
        return True

    def decode(self, outputs: Sequence[NDArray[np.float32]], *, min_score: float) -> Candidates:
        """Return the candidates with scores above ``min_score``, in the order of the maps and cells."""
        parts = [
            self._decode_map(output[0], stride, min_score) for output, stride in zip(outputs, self.strides, strict=True)
        ]
        keypoints = [part.keypoints for part in parts if part.keypoints is not None]
        return Candidates(
            boxes=np.concatenate([part.boxes for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            class_ids=np.concatenate([part.class_ids for part in parts]),
            keypoints=np.concatenate(keypoints) if keypoints else None,
        )

    def _decode_map(self, channels: NDArray[np.float32], stride: int, min_score: float) -> Candidates:
        bins = 4 * DFL_BINS
        scores = _sigmoid(channels[bins : bins + self.classes])
        y, x = np.nonzero(scores.max(axis=0) > min_score)
        cells = np.stack((x, y), axis=1).astype(np.float32)
        scores = scores[:, y, x].T
        rows = channels[:, y, x].T
        distances = _expectation(rows[:, :bins].reshape(-1, 4, DFL_BINS))
        middles = cells + 0.5
        boxes = np.concatenate((middles - distances[:, :2], middles + distances[:, 2:]), axis=1) * stride
        keypoints = _keypoints(rows[:, bins + self.classes :], self.keypoint_shape)
        if keypoints is not None:
            points = (keypoints[..., :2] * 2 + cells[:, None]) * stride
            keypoints = np.concatenate((points, _sigmoid(keypoints[..., 2:])), axis=-1)
        return Candidates(
            boxes=boxes,
            scores=scores.max(axis=1),
            class_ids=scores.argmax(axis=1).astype(np.int32),
            keypoints=keypoints,
        )


def _keypoints(rows: NDArray[np.float32], shape: tuple[int, int] | None) -> NDArray[np.float32] | None:
    return None if shape is None else rows.reshape(len(rows), *shape)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logistic function, in a form that does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)), np.float32)


def _expectation(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The expected bin of distributions over the last axis (distribution focal loss, arXiv:2006.04388)."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    bins = np.arange(logits.shape[-1], dtype=np.float32)
    return np.asarray(weights @ bins / weights.sum(axis=-1), np.float32)
