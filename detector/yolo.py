"""A YOLO model that finds the objects in a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.head_kind import recognize_head
from detector.heads import Candidates, EndToEndHead
from detector.letterbox import Letterbox, fit
from detector.metadata import read_metadata
from detector.nms import suppress
from facet.runtime.models import UnsupportedModel
from facet.runtime.session import Normalization, Session

FACE_CLASS = "face"
FACE_LANDMARKS = 5
PIXELS = Normalization(mean=0.0, scale=255.0)
SMALL_SQUARES = (0.75, 0.5)
"""Of the longer side: what small pictures are scaled to, the largest first."""
PROBE_SIDE = 640
"""Least side of the picture that an open model is probed with: on small ones a head has fewer cells than classes."""


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects in a picture, by falling score.

    Attributes:
        boxes: ``xyxy`` float32 pixels of the picture, clipped to it, shape ``(n, 4)``.
        scores: float32 in [0, 1], shape ``(n,)``.
        class_ids: int32, into :attr:`YoloDetector.class_names`, shape ``(n,)``.
        keypoints: x and y, float32 pixels of the picture, not clipped, shape ``(n, k, 2)``; ``None`` where
            the model has none.
        keypoint_scores: how sure it is that each can be seen, float32 in [0, 1], shape ``(n, k)``; ``None``
            where the model does not say.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    keypoints: NDArray[np.float32] | None
    keypoint_scores: NDArray[np.float32] | None

    def __len__(self) -> int:
        """How many."""
        return len(self.scores)

    def above(self, score: float) -> Detections:
        """Those with a score above this."""
        count = int((self.scores > score).sum())
        return Detections(
            self.boxes[:count],
            self.scores[:count],
            self.class_ids[:count],
            None if self.keypoints is None else self.keypoints[:count],
            None if self.keypoint_scores is None else self.keypoint_scores[:count],
        )


class YoloDetector:
    """A YOLO model of any kind that :func:`~detector.head_kind.recognize_head` knows.

    It answers what Ultralytics' ``predict`` does with the same file. Safe to use from several threads at once
    as its session is. The model is run once at start, to see that it works and what it answers.

    Args:
        session: the loaded model.
        size: the longer side that pictures are scaled to where the model's input is open, pixels; rounded up
            to a multiple of the model's stride. An input of fixed size has its own.
        min_score: only objects with a score above this, [0, 1].
        iou: greatest overlap of two objects of a class, [0, 1]; has no effect on models without NMS.
        max_objects: the best are kept.
        proportions: shorter to longer side, (0, 1], of the inputs that are used where the model's input is open: for
            runtimes that compile a graph for each. Pictures between them are padded. ``None``: any, to the next
            multiple of the model's stride, as Ultralytics does.

    Raises:
        UnsupportedModel: it is no YOLO model, or of a kind that is not understood; what was expected and what
            was found is said.
    """

    def __init__(
        self,
        session: Session,
        *,
        size: int = 640,
        min_score: float = 0.25,
        iou: float = 0.7,
        max_objects: int = 300,
        proportions: Sequence[float] | None = None,
    ) -> None:
        metadata = read_metadata(session.metadata)
        self._session = session = session.normalizing(PIXELS)
        self._min_score = min_score
        self._iou = iou
        self._max_objects = max_objects
        height, width = _open_or_fixed_size(session)
        side = _round_up(size, metadata.stride)
        self._target = (height or side, width or side)
        probed = (height or max(side, PROBE_SIDE), width or max(side, PROBE_SIDE))
        self._head, self.class_names = recognize_head(metadata, _probe(session, probed), probed)
        self._sides: Sequence[int] | None = None
        self._small: Sequence[int] = ()
        if height is None and width is None:
            least = 1
            if isinstance(self._head, EndToEndHead):
                least = _least_side(self._head.most, side, metadata.stride)
            sides: Sequence[int] = range(metadata.stride, side + 1, metadata.stride)
            if proportions is not None:
                sides = sorted({_round_up(math.ceil(side * share), metadata.stride) for share in proportions})
            self._sides = [length for length in sides if length >= least]
            squares = (_round_up(math.ceil(side * share), metadata.stride) for share in SMALL_SQUARES)
            self._small = [length for length in squares if least <= length < side]
        keypoints = metadata.keypoint_shape
        self.has_face_landmarks = (
            keypoints is not None
            and keypoints[0] == FACE_LANDMARKS
            and FACE_CLASS in (name.lower() for name in self.class_names)
        )

    @property
    def head_kind(self) -> str:
        """What kind of output the model has: "yolo-v8", "yolo-pose", "yolo-end2end", ..."""
        return self._head.kind

    def input_size(self, picture: tuple[int, int]) -> tuple[int, int]:
        """``(height, width)`` of the model's input for a picture of that height and width, pixels."""
        return self._fit(picture).outer

    def detect(
        self, picture: NDArray[np.uint8], *, min_score: float | None = None, max_enlargement: float = math.inf
    ) -> Detections:
        """Find objects.

        As better objects suppress others and never the other way round, a lower score adds objects and changes none.

        Args:
            picture: upright, BGR, shape ``(height, width, 3)``, each side at least 1.
            min_score: only objects with a score above this, [0, 1]; the detector's own where ``None``.
            max_enlargement: a picture that would be enlarged by more than this is scaled to three quarters or half of
                ``size`` instead, into a square, where the model's input is open: faster, and small objects are missed.
        """
        letterbox = self._fit((picture.shape[0], picture.shape[1]), max_enlargement)
        outputs = self._session.run(letterbox.lay(picture)[None])
        candidates = self._head.decode(outputs, min_score=self._min_score if min_score is None else min_score)
        return _to_picture(candidates, self._best(candidates), letterbox)

    def _fit(self, picture: tuple[int, int], max_enlargement: float = math.inf) -> Letterbox:
        most = max(picture) * max_enlargement
        if self._small and most < max(self._target):
            square = next((side for side in self._small if side <= most), self._small[-1])
            return fit(picture, (square, square))
        return fit(picture, self._target, sides=self._sides)

    def _best(self, candidates: Candidates) -> NDArray[np.intp]:
        """Which candidates are objects, by falling score."""
        if not self._head.needs_nms:
            return np.arange(min(len(candidates.scores), self._max_objects))
        return suppress(
            candidates.boxes,
            candidates.scores,
            candidates.class_ids,
            iou=self._iou,
            max_objects=self._max_objects,
        )


def _to_picture(candidates: Candidates, chosen: NDArray[np.intp], letterbox: Letterbox) -> Detections:
    keypoints = keypoint_scores = None
    if candidates.keypoints is not None:
        keypoints = letterbox.points_to_picture(candidates.keypoints[chosen, :, :2])
        if candidates.keypoints.shape[2] == 3:
            keypoint_scores = candidates.keypoints[chosen, :, 2]
    return Detections(
        boxes=letterbox.boxes_to_picture(candidates.boxes[chosen]),
        scores=candidates.scores[chosen],
        class_ids=candidates.class_ids[chosen],
        keypoints=keypoints,
        keypoint_scores=keypoint_scores,
    )


def _open_or_fixed_size(session: Session) -> tuple[int | None, int | None]:
    """Height and width of the model's input, ``None`` where open."""
    shape = session.input.shape
    if len(shape) != 4 or shape[0] not in (None, 1) or shape[1] not in (None, 3):
        found = ", ".join("open" if side is None else str(side) for side in shape)
        raise UnsupportedModel(f"expected an input of one colour picture, (1, 3, height, width), found ({found})")
    return shape[2], shape[3]


def _probe(session: Session, size: tuple[int, int]) -> list[NDArray[np.float32]]:
    """What the model answers to a grey picture."""
    try:
        return session.run(np.full((1, *size, 3), 128, np.uint8))
    except Exception as error:  # inference engines have no common base class for their errors
        raise UnsupportedModel(
            f"expected a model that takes float32 pictures of {size[0]}x{size[1]}, this one fails: {error}"
        ) from error


def _least_side(rows: int, side: int, stride: int) -> int:
    """The smallest side of an input that still has a cell for each row of an end-to-end head.

    Such a graph takes the best ``rows`` of its cells and fails on fewer. Grids of strides 8, 16 and 32 have
    21 cells for every 32x32 pixels; a thin strip of a picture at less than 640 has not enough.
    """
    cells_a_line = 21 / 1024 * side
    return min(_round_up(math.ceil(rows / cells_a_line), stride), side)


def _round_up(length: int, stride: int) -> int:
    return -(-length // stride) * stride
