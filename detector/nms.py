"""Non-maximum suppression: of overlapping boxes of one class, the one with the best score stays."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_CANDIDATES = 30_000
"""More boxes than these, the best first, are not looked at; as in Ultralytics."""

_FIRST_LOOK = 1024
_CLASS_SHIFT = 7680  # pixels; max_wh in Ultralytics


def suppress(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int32],
    *,
    iou: float,
    max_objects: int,
) -> NDArray[np.intp]:
    """Greedy NMS within each class; the indices of the boxes that stay, by falling score.

    It keeps what ``non_max_suppression`` of Ultralytics keeps. A box goes where its IoU with a better one is
    above the limit; of equal scores the first stays. Classes are kept apart as there, by shifting each to a
    place of its own in float32. That rounds the boxes of high class ids to 1/32 pixel, enough to turn a pair at
    IoU 0.701: ``NMSBoxesBatched`` of OpenCV, exact in this, loses objects that Ultralytics finds.

    OpenCV cannot stop early, which is slow on thousands of boxes that do not touch. What stays of the best
    thousand is the same without the others, so those are asked first and are mostly enough.

    Args:
        boxes: ``xyxy``, shape ``(n, 4)``.
        scores: shape ``(n,)``.
        class_ids: shape ``(n,)``.
        iou: greatest intersection over union of two boxes of one class that both stay, [0, 1].
        max_objects: how many stay at most, over all classes.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    corners = boxes + (class_ids * _CLASS_SHIFT).astype(np.float32)[:, None]
    rectangles = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)
    for look in (order[:_FIRST_LOOK], order):
        # OpenCV's type stubs know only sequences here; it takes arrays, and without a copy per number.
        kept = cv2.dnn.NMSBoxes(rectangles[look], scores[look], 0.0, iou)  # type: ignore[arg-type]
        if len(kept) >= max_objects or len(look) == len(order):
            break
    return look[np.asarray(kept, np.intp)[:max_objects]]
