"""How fit a face is for recognition: its size, its sharpness and how far it is turned."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_HEAD = np.array(
    [[-32, -34, 28], [32, -34, 28], [0, 0, 0], [-26, 33, 24], [26, 33, 24]],
    np.float64,
)
"""The five landmarks of a mean head, millimetres from the tip of the nose: right, down, away from the viewer."""
_HEAD_INVERSE = np.linalg.pinv(_HEAD - _HEAD.mean(0))


@dataclass(frozen=True, slots=True)
class Quality:
    """The measurements of one face.

    Attributes:
        value: the summary in [0, 1]: the weakest of size, sharpness and frontality.
        size: the shorter side of the face box, pixels.
        sharpness: the share of its gradient that the middle of the aligned crop loses when it is blurred, [0, 1]:
            what is blurred already has little to lose (Crete et al., 2007, "The blur effect"). Sharp LFW faces
            have 0.35, blurred by 4 pixels 0.14.
        yaw: turn to the side in degrees, positive to the viewer's right.
        pitch: tilt in degrees, positive up.
        roll: turn in the picture's plane in degrees, (-180, 180], positive clockwise.
    """

    value: float
    size: float
    sharpness: float
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What a face must reach to be enrolled without being insisted upon; docs/evaluation.md says why these.

    Attributes:
        min_size: pixels of the shorter side of the face box.
        min_sharpness: see :attr:`Quality.sharpness`.
        max_turn: degrees of yaw or pitch.
    """

    min_size: float = 32.0
    min_sharpness: float = 0.15
    max_turn: float = 50.0


def measure(box: NDArray[np.float32], landmarks: NDArray[np.float32], crop: NDArray[np.uint8]) -> Quality:
    """Measure a face.

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
    """Yaw, pitch and roll in degrees of a mean head that best explains five landmarks, seen from afar.

    Weak-perspective least squares on the landmarks (DeMenthon and Davis, 1995, without the iteration), then the
    nearest rotation.
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
    """The share of the mean absolute gradient that a blur of 2.5 pixels takes, noise smoothed away before."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    blurred = cv2.GaussianBlur(smooth, (0, 0), 2.5)
    before, after = (
        cv2.norm(each[1:], each[:-1], cv2.NORM_L1) + cv2.norm(each[:, 1:], each[:, :-1], cv2.NORM_L1)
        for each in (smooth, blurred)
    )
    return max(0.0, 1 - after / before) if before > 0 else 0.0


def _ramp(value: float, low: float, high: float) -> float:
    """0 at ``low`` and before, 1 at ``high`` and beyond, straight between; ``low`` may be the larger."""
    return float(np.clip((value - low) / (high - low), 0, 1))
