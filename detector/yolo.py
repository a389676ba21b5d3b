"""Detects objects with a YOLO model."""

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
from facet.runtime.inference.session import Normalization, Session
from facet.runtime.models import UnsupportedModel

FACE_CLASS = "face"
FACE_LANDMARKS = 5
PIXELS = Normalization(mean=0.0, scale=255.0)
SMALL_SQUARES = (0.75, 0.5)
"""Square input sizes for small pictures, as shares of ``size``, in descending order."""
MIN_SAMPLE_SIDE = 640
"""Minimum side of the sample input for a model with dynamic size. A small one gives fewer cells than classes."""


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects of a picture, in descending order of score.

    Attributes:
        boxes: xyxy pixels of the picture, clipped to it, float32 ``(n, 4)``.
        scores: [0, 1], float32 ``(n,)``.
        class_ids: index into :attr:`YoloDetector.class_names`, int32 ``(n,)``.
        keypoints: xy pixels of the picture, not clipped, float32 ``(n, k, 2)``; ``None`` if the model has none.
        keypoint_scores: visibility of each keypoint, [0, 1], float32 ``(n, k)``; ``None`` if the model has none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    keypoints: NDArray[np.float32] | None
    keypoint_scores: NDArray[np.float32] | None

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.scores)

    def above(self, score: float) -> Detections:
        """Select the objects with scores above a value."""
        count = int((self.scores > score).sum())
        return Detections(
            self.boxes[:count],
            self.scores[:count],
            self.class_ids[:count],
            None if self.keypoints is None else self.keypoints[:count],
            None if self.keypoint_scores is None else self.keypoint_scores[:count],
        )


class YoloDetector:
    """A YOLO model of any kind that :func:`~detector.head_kind.recognize_head` recognises.

    Returns the same objects as ``predict`` of Ultralytics with the same file. Safe to use from several threads. The
    constructor runs the model once to examine its output.

    Args:
        session: the loaded model.
        size: longer side of the model's input if it is dynamic, pixels; rounded up to a multiple of the model's stride.
        min_score: only objects with scores above this are returned, [0, 1].
        iou: maximum IoU of two objects of a class, [0, 1]; no effect on models without NMS.
        max_objects: maximum number of objects; those with the highest scores are returned.
        proportions: shorter to longer side, (0, 1], of the inputs to use if the model's input is dynamic. Runtimes
            compile a graph for each. Pictures with other proportions are padded. ``None``: pad to the next multiple of
            the model's stride, as Ultralytics does.

    Attributes:
        class_names: by class id.
        has_face_landmarks: whether the model detects faces with five landmarks.

    Raises:
        UnsupportedModel: the model is not a YOLO model of a supported kind; the message says what was expected and
            found.
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
        height, width = _input_size(session)
        side = _round_up(size, metadata.stride)
        self._target = (height or side, width or side)
        sample_size = (height or max(side, MIN_SAMPLE_SIDE), width or max(side, MIN_SAMPLE_SIDE))
        self._head, self.class_names = recognize_head(metadata, _sample_outputs(session, sample_size), sample_size)
        self._sides: Sequence[int] | None = None
        self._small_squares: Sequence[int] = ()
        if height is None and width is None:
            min_side = 1
            if isinstance(self._head, EndToEndHead):
                min_side = _min_side(self._head.rows, side, metadata.stride)
            sides: Sequence[int] = range(metadata.stride, side + 1, metadata.stride)
            if proportions is not None:
                sides = sorted({_round_up(math.ceil(side * share), metadata.stride) for share in proportions})
            self._sides = [length for length in sides if length >= min_side]
            squares = (_round_up(math.ceil(side * share), metadata.stride) for share in SMALL_SQUARES)
            self._small_squares = [length for length in squares if min_side <= length < side]
        keypoints = metadata.keypoint_shape
        self.has_face_landmarks = (
            keypoints is not None
            and keypoints[0] == FACE_LANDMARKS
            and FACE_CLASS in (name.lower() for name in self.class_names)
        )

    @property
    def head_kind(self) -> str:
        """The kind of the model's output: "yolo-v8", "yolo-pose", "yolo-end2end", ..."""
        return self._head.kind

    def input_size(self, picture: tuple[int, int]) -> tuple[int, int]:
        """Return ``(height, width)`` of the model's input for a picture of ``(height, width)``, pixels."""
        return self._fit(picture).outer

    def detect(
        self, picture: NDArray[np.uint8], *, min_score: float | None = None, max_enlargement: float = math.inf
    ) -> Detections:
        """Detect objects.

        Args:
            picture: upright BGR ``(height, width, 3)``, each side at least 1.
            min_score: only objects with scores above this are returned, [0, 1]; the detector's own if ``None``. A lower
                score adds objects and changes none, because an object is only ever suppressed by a better one.
            max_enlargement: if the input is dynamic and the picture would be enlarged by more than this factor, it is
                scaled into a square of 3/4 or 1/2 of ``size``: faster, but misses small objects.
        """
        letterbox = self._fit((picture.shape[0], picture.shape[1]), max_enlargement)
        outputs = self._session.run(letterbox.apply(picture)[None])
        candidates = self._head.decode(outputs, min_score=self._min_score if min_score is None else min_score)
        return _to_picture(candidates, self._best(candidates), letterbox)

    def _fit(self, picture: tuple[int, int], max_enlargement: float = math.inf) -> Letterbox:
        longest = max(picture) * max_enlargement
        if self._small_squares and longest < max(self._target):
            square = next((side for side in self._small_squares if side <= longest), self._small_squares[-1])
            return fit(picture, (square, square))
        return fit(picture, self._target, sides=self._sides)

    def _best(self, candidates: Candidates) -> NDArray[np.intp]:
        """Return the indices of the candidates that are objects, in descending order of score."""
        if not self._head.needs_nms:
            return np.arange(min(len(candidates.scores), self._max_objects))
        return suppress(
            candidates.boxes,
            candidates.scores,
            candidates.class_ids,
            iou=self._iou,
            max_objects=self._max_objects,
        )


def _to_picture(candidates: Candidates, kept: NDArray[np.intp], letterbox: Letterbox) -> Detections:
    keypoints = keypoint_scores = None
    if candidates.keypoints is not None:
        keypoints = letterbox.points_to_picture(candidates.keypoints[kept, :, :2])
        if candidates.keypoints.shape[2] == 3:
            keypoint_scores = candidates.keypoints[kept, :, 2]
    return Detections(
        boxes=letterbox.boxes_to_picture(candidates.boxes[kept]),
        scores=candidates.scores[kept],
        class_ids=candidates.class_ids[kept],
        keypoints=keypoints,
        keypoint_scores=keypoint_scores,
    )


def _input_size(session: Session) -> tuple[int | None, int | None]:
    """Return height and width of the model's input; ``None`` for a dynamic one."""
    shape = session.input.shape
    if len(shape) != 4 or shape[0] not in (None, 1) or shape[1] not in (None, 3):
        found = ", ".join("dynamic" if side is None else str(side) for side in shape)
        raise UnsupportedModel(f"expected an input (1, 3, height, width), found ({found})")
    return shape[2], shape[3]


def _sample_outputs(session: Session, size: tuple[int, int]) -> list[NDArray[np.float32]]:
    """Run the model on a grey picture."""
    try:
        return session.run(np.full((1, *size, 3), 128, np.uint8))
    except Exception as error:  # inference engines have no common base class for their errors
        raise UnsupportedModel(f"the model fails on a float32 picture of {size[0]}x{size[1]}: {error}") from error


def _min_side(rows: int, side: int, stride: int) -> int:
    """Return the minimum side of an input with a cell for each row of an end-to-end head.

    The graph takes the best ``rows`` of its cells and fails if there are fewer. Grids of strides 8, 16 and 32 have 21
    cells per 32x32 pixels, too few for a narrow picture if ``side`` is below 640.
    """
    cells_per_line = 21 / 1024 * side
    return min(_round_up(math.ceil(rows / cells_per_line), stride), side)


def _round_up(length: int, stride: int) -> int:
    return -(-length // stride) * stride
