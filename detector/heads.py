"""The kinds of YOLO output that are understood, and how each is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DFL_BINS = 16
"""Bins of the distribution over each side's distance: ``reg_max`` of YOLOv8 and YOLO11."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes that a head answers, in pixels of the model's input.

    Attributes:
        boxes: ``xyxy`` float32, shape ``(n, 4)``.
        scores: of the best class, float32 in [0, 1], shape ``(n,)``.
        class_ids: the best class, int32, shape ``(n,)``.
        keypoints: x and y (and visibility in [0, 1]) float32, shape ``(n, k, 2 or 3)``; ``None`` without.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    keypoints: NDArray[np.float32] | None


class Head(Protocol):
    """Decodes what one kind of YOLO model answers."""

    @property
    def kind(self) -> str:
        """The kind's name."""

    @property
    def needs_nms(self) -> bool:
        """Whether several candidates may mean the same object."""

    def decode(self, outputs: Sequence[NDArray[np.float32]], *, min_score: float) -> Candidates:
        """The candidates above ``min_score`` of one picture."""


@dataclass(frozen=True, slots=True)
class GridHead:
    """One column for every cell of the grids: ``(1, 4 + classes + keypoints, cells)``.

    The heads of YOLOv8, YOLO11, YOLO12 and of YOLO26 without its one-to-one branch, as Ultralytics exports
    them: centre x and y, width, height; class scores after the sigmoid; keypoints decoded.

    Attributes:
        classes: how many.
        keypoint_shape: as in :class:`~detector.metadata.ExportMetadata`.
    """

    classes: int
    keypoint_shape: tuple[int, int] | None

    @property
    def kind(self) -> str:
        """The kind's name."""
        return "yolo-v8" if self.keypoint_shape is None else "yolo-pose"

    @property
    def needs_nms(self) -> bool:
        """Neighbouring cells answer the same object."""
        return True

    def decode(self, outputs: Sequence[NDArray[np.float32]], *, min_score: float) -> Candidates:
        """The candidates above ``min_score``, in the order of the cells."""
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
    """Final boxes, the best first: ``(1, most, 6 + keypoints)``, of x1, y1, x2, y2, score, class, keypoints.

    YOLO26 and YOLOv10 by their one-to-one branch, and any Ultralytics model with NMS baked into the graph.

    Attributes:
        most: how many rows it answers.
        keypoint_shape: as in :class:`~detector.metadata.ExportMetadata`.
    """

    most: int
    keypoint_shape: tuple[int, int] | None

    @property
    def kind(self) -> str:
        """The kind's name."""
        return "yolo-end2end" if self.keypoint_shape is None else "yolo-end2end-pose"

    @property
    def needs_nms(self) -> bool:
        """It answers each object once."""
        return False

    def decode(self, outputs: Sequence[NDArray[np.float32]], *, min_score: float) -> Candidates:
        """The candidates above ``min_score``, by falling score."""
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
    """The last convolutions of YOLOv8 as they are: a map ``(1, 64 + classes + keypoints, h, w)`` per stride.

    Some exports, YOLO-face ones among them, leave decoding to the caller. It is that of ``Detect`` and
    ``Pose`` in Ultralytics: the distance to each side is the expectation over 16 bins, in strides from the
    middle of the cell; class scores and visibility go through the sigmoid; a keypoint is
    ``(2 * raw + cell) * stride``.

    Attributes:
        classes: how many.
        keypoint_shape: as in :class:`~detector.metadata.ExportMetadata`.
        strides: input pixels a cell, of each map.
    """

    classes: int
    keypoint_shape: tuple[int, int] | None
    strides: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The kind's name."""
        return "yolo-raw" if self.keypoint_shape is None else "yolo-raw-pose"

    @property
    def needs_nms(self) -> bool:
        """Neighbouring cells answer the same object."""
        return True

    def decode(self, outputs: Sequence[NDArray[np.float32]], *, min_score: float) -> Candidates:
        """The candidates above ``min_score``, in the order of the maps and cells."""
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
    """The logistic function, written so that it does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)), np.float32)


def _expectation(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean bin of distributions over the last axis (distribution focal loss, arXiv:2006.04388)."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    bins = np.arange(logits.shape[-1], dtype=np.float32)
    return np.asarray(weights @ bins / weights.sum(axis=-1), np.float32)
