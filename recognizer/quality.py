"""Measures the quality of a face: size, sharpness and pose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_HEAD = np.array(
    [[-32, -34, 28], [32, -34, 28], [0, 0, 0], [-26, 33, 24], [26, 33, 24]],
    np.float64,
)
"""The five landmarks of an average head, millimetres from the tip of the nose: right, down, away from the viewer."""
_HEAD_INVERSE = np.linalg.pinv(_HEAD - _HEAD.mean(0))


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of one face.

    Attributes:
        value: summary, [0, 1]: the lowest of the scores for size, sharpness and pose.
        size: shorter side of the face box, pixels.
        sharpness: share of its gradient that the middle of the aligned crop loses when it is blurred, [0, 1]. A
            blurred picture has little left to lose (Crete et al., 2007, "The blur effect"). Sharp LFW faces have
            0.35; blurred by 4 pixels they have 0.14.
        yaw: degrees, positive to the viewer's right.
        pitch: degrees, positive up.
        roll: rotation in the picture plane, degrees in (-180, 180], positive clockwise.
    """

    value: float
    size: float
    sharpness: float
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Minimum quality of a face; the defaults are for enrolment (docs/evaluation.md explains them).

    Attributes:
        min_size: minimum of the shorter side of the face box, pixels.
        min_sharpness: minimum of :attr:`Quality.sharpness`, [0, 1].
        max_turn: maximum yaw and pitch, degrees.
    """

    min_size: float = 32.0
    min_sharpness: float = 0.15
    max_turn: float = 50.0


def measure(box: NDArray[np.float32], landmarks: NDArray[np.float32], crop: NDArray[np.uint8]) -> Quality:
    """Measure the quality of a face.

    Args:
        box: ``(4,)`` xyxy pixels.
        landmarks: ``(5, 2)`` pixels.
        crop: the aligned face, BGR ``(112, 112, 3)``.
    """
    size = float(np.min(box[2:] - box[:2]))
    sharpness = _gradient_lost(np.asarray(cv2.cvtColor(crop[16:96, 16:96], cv2.COLOR_BGR2GRAY), np.uint8))
    yaw, pitch, roll = head_pose(landmarks)
    turn = max(abs(yaw), abs(pitch))
    value = min(_ramp(size, 12, 48), _ramp(sharpness, 0.1, 0.24), _ramp(turn, 75, 25))
    return Quality(value, size, sharpness, yaw, pitch, roll)


def head_pose(landmarks: NDArray[np.float32]) -> tuple[float, float, float]:
    """Estimate yaw, pitch and roll from five landmarks ``(5, 2)``, degrees; zeros if no pose fits.

    Fits an average head by weak-perspective least squares (DeMenthon and Davis, 1995, without the iteration), then
    takes the nearest rotation.
    """
    points = landmarks.astype(np.float64) - landmarks.mean(0)
    rows = (_HEAD_INVERSE @ points).T
    if not np.linalg.norm(rows, axis=1).all():
        return 0.0, 0.0, 0.0
    right, down = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    away = np.cross(right, down)
    u, _, vt = np.linalg.svd(np.stack((right, down, away)))
    rotation = u @ vt
    yaw = np.degrees(np.arcsin(np.clip(-rotation[0, 2], -1, 1)))
    pitch = np.degrees(np.arctan2(rotation[1, 2], rotation[2, 2]))
    roll = np.degrees(np.arctan2(points[1, 1] - points[0, 1], points[1, 0] - points[0, 0]))
    return float(yaw), float(np.clip(pitch, -90, 90)), float(roll)


def _gradient_lost(grey: NDArray[np.uint8]) -> float:
    """Share of the mean absolute gradient that a blur of 2.5 pixels removes, after smoothing noise."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    blurred = cv2.GaussianBlur(smooth, (0, 0), 2.5)
    before, after = (
        cv2.norm(each[1:], each[:-1], cv2.NORM_L1) + cv2.norm(each[:, 1:], each[:, :-1], cv2.NORM_L1)
        for each in (smooth, blurred)
    )
    return max(0.0, 1 - after / before) if before > 0 else 0.0


def _ramp(value: float, low: float, high: float) -> float:
    """Rise linearly from 0 at ``low`` to 1 at ``high``, constant outside; ``low`` may be greater than ``high``."""
    return float(np.clip((value - low) / (high - low), 0, 1))
