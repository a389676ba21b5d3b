"""Non-maximum suppression: of overlapping boxes of one class, the one with the highest score is kept."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_CANDIDATES = 30_000
"""Maximum number of boxes that are considered, those with the highest scores; as in Ultralytics."""

_FIRST_BATCH = 1024
_CLASS_SHIFT = 7680  # pixels; max_wh in Ultralytics


def suppress(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int32],
    *,
    iou: float,
    max_objects: int,
) -> NDArray[np.intp]:
    """Apply greedy NMS within each class and return the indices of the kept boxes, in descending order of score.

    It keeps the same boxes as ``non_max_suppression`` of Ultralytics. A box is dropped if its IoU with a better one is
    above the limit; of equal scores the first is kept. Like Ultralytics, it separates classes by an offset in float32.
    That rounds boxes of high class ids to 1/32 pixel, enough to decide a pair with an IoU of 0.701. OpenCV's
    ``NMSBoxesBatched`` does not round and drops objects that Ultralytics keeps.

    OpenCV cannot stop early, which is slow on thousands of boxes that do not overlap. The result for the best thousand
    does not depend on the others, so these come first, and are usually enough.

    Args:
        boxes: xyxy, shape ``(n, 4)``.
        scores: shape ``(n,)``.
        class_ids: shape ``(n,)``.
        iou: maximum IoU of two kept boxes of one class, [0, 1].
        max_objects: maximum number of kept boxes, over all classes.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    corners = boxes + (class_ids * _CLASS_SHIFT).astype(np.float32)[:, None]
    rectangles = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)
    for batch in (order[:_FIRST_BATCH], order):
        # OpenCV's type stubs only allow sequences; it also takes arrays, and does not copy each number then.
        kept = cv2.dnn.NMSBoxes(rectangles[batch], scores[batch], 0.0, iou)  # type: ignore[arg-type]
        if len(kept) >= max_objects or len(batch) == len(order):
            break
    return batch[np.asarray(kept, np.intp)[:max_objects]]
