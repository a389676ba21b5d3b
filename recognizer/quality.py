"""Measures the quality of a face: size, pose, and what the aligned crop shows.

Nothing here runs a network. ISO/IEC 29794-5 and its reference implementation OFIQ list such measures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.alignment import similarity_transform

_HEAD = np.array(
    [[-32, -34, 28], [32, -34, 28], [0, 0, 0], [-26, 33, 24], [26, 33, 24]],
    np.float64,
)
"""The five landmarks of an average head, millimetres from the tip of the nose: right, down, away from the viewer."""
_HEAD_INVERSE = np.linalg.pinv(_HEAD - _HEAD.mean(0))


_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_EYES = ((38, 52), (74, 52))
_BROWS = ((36, 42), (76, 42))
_BRIGHT = ((36, 72), (76, 72), (40, 64), (72, 64), (56, 62), (56, 52))
"""Cheeks, below the eyes, nose and its bridge, in a crop, pixels; the same for eyes and brows."""
_PATCHES = ((19, 26, 4, 2), (37, 26, 4, 2), (28, 46, 6, 3))
"""Of both eyes and the mouth: middle, half the width and half the height in a crop of half the size, pixels."""
_DIRECTIONS = [(math.cos(angle), math.sin(angle)) for angle in np.arange(8) * math.pi / 8]
"""Unit vectors, 22.5 degrees apart."""
_LOGARITHMS = np.log(np.arange(256, dtype=np.float32) + 8)
"""Of grey levels. Below 8, differences are noise."""

WHITE = 253
"""Samples from here on are overexposed."""
ENLARGED_FROM = 1.5
"""Crop pixels per picture pixel from which on noise is measured at the picture's scale."""
MIN_NOISE_SIDE = 24
"""Minimum side in which noise is measured, pixels."""
DIRECTIONAL_MIN_SIZE = 70.0
"""Minimum of the shorter side of a face box at which directional blur is judged, pixels."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of one face.

    Attributes:
        value: summary, [0, 1]: the lowest of the scores of all measures. The scores are fitted to the share of degraded
            faces of LFW that match, so that a covered mouth, which costs little, counts less than noise
            (docs/evaluation.md). It is 0 if the crop shows a few grey levels only, which is no face.
        size: shorter side of the face box, pixels.
        sharpness: share of its gradient that the middle of the aligned crop loses when it is blurred, [0, 1]. A
            blurred picture has little left to lose (Crete et al., 2007, "The blur effect"). Sharp LFW faces have
            0.35; blurred by 4 pixels they have 0.14.
        yaw: degrees, positive to the viewer's right.
        pitch: degrees, positive up.
        roll: rotation in the picture plane, degrees in (-180, 180], positive clockwise.
        directional_sharpness: sharpness along the direction in which it is lowest, [0, 1]. Camera shake and motion
            blur one direction only.
        noise: standard deviation of the noise (Immerkaer, 1996, from the median) as a share of the contrast, at least
            0. Clean LFW faces have 0.004; noise and the dots of a print have 0.1.
        brightness: mean luminance, [0, 1].
        overexposure: share of the samples that are white, [0, 1].
        polarity: how much brighter cheeks and nose are than eyes and brows, as a share of the contrast, [-1, 1]. It is
            negative in a photographic negative.
        eye_detail: mean gradient around the eye that has less of it, as a share of that of the face, at least 0; of
            grey levels or of their logarithms, whichever gives more, because an eye may lie in shadow or in glaring
            light. It is about 1.4 in uncovered faces and 0 where something plain covers an eye.
        mouth_detail: the same around the mouth, of grey levels only.
    """

    value: float
    size: float
    sharpness: float
    yaw: float
    pitch: float
    roll: float
    directional_sharpness: float
    noise: float
    brightness: float
    overexposure: float
    polarity: float
    eye_detail: float
    mouth_detail: float


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Minimum quality of a face; the defaults are for enrolment (docs/evaluation.md explains them).

    Attributes:
        min_size: minimum of the shorter side of the face box, pixels.
        min_sharpness: minimum of :attr:`Quality.sharpness`, [0, 1].
        max_turn: maximum yaw and pitch, degrees.
        min_directional_sharpness: minimum of :attr:`Quality.directional_sharpness`, [0, 1]. Applies to faces of
            at least :data:`DIRECTIONAL_MIN_SIZE` pixels: smaller ones are enlarged to the crop and never as sharp.
        max_noise: maximum of :attr:`Quality.noise`.
        min_brightness: minimum of :attr:`Quality.brightness`, [0, 1].
        max_overexposure: maximum of :attr:`Quality.overexposure`, [0, 1].
        min_polarity: minimum of :attr:`Quality.polarity`, [-1, 1].
        min_eye_detail: minimum of :attr:`Quality.eye_detail`.
        min_mouth_detail: minimum of :attr:`Quality.mouth_detail`.
    """

    min_size: float = 32.0
    min_sharpness: float = 0.15
    max_turn: float = 50.0
    min_directional_sharpness: float = 0.22
    max_noise: float = 0.07
    min_brightness: float = 0.08
    max_overexposure: float = 0.4
    min_polarity: float = 0.0
    min_eye_detail: float = 0.45
    min_mouth_detail: float = 0.4


NO_LIMITS = QualityLimits(
    min_size=0.0,
    min_sharpness=0.0,
    max_turn=90.0,
    min_directional_sharpness=0.0,
    max_noise=math.inf,
    min_brightness=0.0,
    max_overexposure=1.0,
    min_polarity=-1.0,
    min_eye_detail=0.0,
    min_mouth_detail=0.0,
)
"""Every face is fit."""

EVIDENCE_LIMITS = replace(NO_LIMITS, max_noise=0.07, min_directional_sharpness=0.15, min_polarity=-0.12)
"""Noisy faces of different people resemble each other, and so do smeared ones and negatives: a face that does not meet
these limits says nothing about who somebody is. They leave in soft pictures, and dark faces against the light, whose
polarity is down to -0.1."""


def measure(box: NDArray[np.float32], landmarks: NDArray[np.float32], crop: NDArray[np.uint8]) -> Quality:
    """Measure the quality of a face.

    Args:
        box: ``(4,)`` xyxy pixels.
        landmarks: ``(5, 2)`` pixels.
        crop: the aligned face, BGR ``(112, 112, 3)``.
    """
    size = float(np.min(box[2:] - box[:2]))
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)
    middle = grey[16:96, 16:96]
    sharpness, directional_sharpness = _sharpness(middle), _directional_sharpness(middle)
    counts = np.bincount(middle.ravel(), minlength=256)
    low, high = _percentile(counts, 0.05), _percentile(counts, 0.95)
    contrast = max(1, high - low)
    noise = noise_of(_unenlarged(middle, landmarks)) / contrast
    polarity = min(1.0, max(-1.0, float(np.vdot(_POLARITY_WEIGHTS, grey)) / contrast))
    brightness, overexposure = float(counts @ _LEVELS) / middle.size / 255, float(counts[WHITE:].sum()) / middle.size
    eye_detail, mouth_detail = _detail(grey)
    yaw, pitch, roll = head_pose(landmarks)
    value = min(
        _ramp(size, 12, 48),
        _ramp(sharpness, 0.05, 0.2),
        _ramp(max(abs(yaw), abs(pitch)), 75, 25),
        _ramp(noise, 0.16, 0.02),
        _ramp(contrast, 4, 16),
        _ramp(brightness, -0.05, 0.1),
        _ramp(overexposure, 0.8, 0.3),
        _ramp(polarity, -0.1, 0.0),
        _ramp(eye_detail, -1.0, 0.5),
        _ramp(mouth_detail, -1.0, 0.5),
    )
    if size >= DIRECTIONAL_MIN_SIZE:
        value = min(value, _ramp(directional_sharpness, 0.055, 0.24))
    return Quality(
        value,
        size,
        sharpness,
        yaw,
        pitch,
        roll,
        directional_sharpness,
        noise,
        brightness,
        overexposure,
        polarity,
        eye_detail,
        mouth_detail,
    )


def head_pose(landmarks: NDArray[np.float32]) -> tuple[float, float, float]:
    """Estimate yaw, pitch and roll from five landmarks ``(5, 2)``, degrees; zeros if no pose fits.

    Fits an average head by weak-perspective least squares (DeMenthon and Davis, 1995, without the iteration), then
    takes the nearest rotation.
    """
    points = landmarks.astype(np.float64) - landmarks.mean(0)
    right, down = (_HEAD_INVERSE @ points).T
    if not right.any() or not down.any():
        return 0.0, 0.0, 0.0
    right, down = _orthogonal(right / math.hypot(*right), down / math.hypot(*down))
    depth = right[0] * down[1] - right[1] * down[0]
    yaw = math.degrees(math.asin(min(1.0, max(-1.0, -right[2]))))
    pitch = math.degrees(math.atan2(down[2], depth))
    roll = math.degrees(math.atan2(points[1, 1] - points[0, 1], points[1, 0] - points[0, 0]))
    return yaw, min(90.0, max(-90.0, pitch)), roll


def _orthogonal(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two orthogonal unit vectors nearest to two unit vectors, which turn towards or away from each other."""
    plus, minus = a + b, a - b
    longer, shorter = math.hypot(*plus), math.hypot(*minus)
    if not longer or not shorter:
        return a, b
    plus, minus = plus / longer, minus / shorter
    return (plus + minus) / math.sqrt(2), (plus - minus) / math.sqrt(2)


def _sharpness(grey: NDArray[np.uint8]) -> float:
    """Share of the mean absolute gradient that a blur of 2.5 pixels removes, after smoothing noise."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    before, after = (
        cv2.norm(each[1:], each[:-1], cv2.NORM_L1) + cv2.norm(each[:, 1:], each[:, :-1], cv2.NORM_L1)
        for each in (smooth, cv2.GaussianBlur(smooth, (0, 0), 2.5))
    )
    return _lost(before, after)


def _directional_sharpness(grey: NDArray[np.uint8]) -> float:
    """The lowest share in eight directions that a blur of 2 pixels removes.

    It looks at finer detail than :func:`_sharpness`: a blur along a line leaves what lies beside the line.
    """
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 0.5)
    blurred = cv2.GaussianBlur(smooth, (0, 0), 2.0)
    before, after = (_gradients_along(np.asarray(each, np.float32)) for each in (smooth, blurred))
    return min(_lost(*each) for each in zip(before, after, strict=True))


def _gradients_along(levels: NDArray[np.float32]) -> list[float]:
    """Sums of the absolute gradient along each of :data:`_DIRECTIONS`."""
    corner = levels[:-1, :-1]
    right, down = cv2.subtract(levels[:-1, 1:], corner), cv2.subtract(levels[1:, :-1], corner)
    return [cv2.norm(cv2.addWeighted(right, x, down, y, 0), cv2.NORM_L1) for x, y in _DIRECTIONS]


def _lost(before: float, after: float) -> float:
    return max(0.0, 1 - after / before) if before > 0 else 0.0


def _unenlarged(grey: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shrink a part of the crop of a small face to about its own pixels: enlarging it has smoothed its noise."""
    scale = float(np.hypot(*similarity_transform(landmarks)[0, :2]))
    side = max(MIN_NOISE_SIDE, round(grey.shape[0] / max(scale, 1e-6)))
    if scale < ENLARGED_FROM or side >= grey.shape[0]:
        return grey
    return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def noise_of(grey: NDArray[np.uint8]) -> float:
    """Standard deviation of the noise of a picture ``(h, w)``, grey levels (Immerkaer, 1996, from the median).

    A mask that is blind to edges leaves the noise. Both sides are at least 3 pixels.
    """
    left = np.abs(cv2.filter2D(grey, cv2.CV_16S, _NOISE_MASK)[1:-1, 1:-1])
    return _percentile(np.bincount(left.ravel()), 0.5) / (6 * 0.6745)


def _percentile(counts: NDArray[np.intp], share: float) -> int:
    """The least level that at least a share of the samples does not exceed, from how often each level occurs."""
    sums = np.cumsum(counts)
    return int(np.searchsorted(sums, share * sums[-1]))


def _polarity_weights() -> NDArray[np.float32]:
    """Weights ``(112, 112)`` whose sum over a crop says by how many grey levels cheeks and nose are brighter."""
    weights = np.zeros((112, 112), np.float32)
    for points, weight in ((_BRIGHT, 1.0), (_EYES, -2 / 3), (_BROWS, -1 / 3)):
        for x, y in points:
            weights[y - 3 : y + 4, x - 3 : x + 4] += weight / len(points) / 49
    return np.asarray(cv2.GaussianBlur(weights, (0, 0), 2.5), np.float32)


_POLARITY_WEIGHTS = _polarity_weights()
_LEVELS = np.arange(256)


def _detail(grey: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean gradient of the eye with less of it, and of the mouth, as shares of that of the face.

    Measured at half the crop's size, which is enough for both and takes a fifth of the time.
    """
    half = cv2.GaussianBlur(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), (3, 3), 0)
    left, right, mouth = _shares(_gradient(half.astype(np.float32)))
    dark_left, dark_right, _ = _shares(_gradient(_LOGARITHMS[half]))
    return min(max(left, dark_left), max(right, dark_right)), mouth


def _gradient(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    corner = levels[:-1, :-1]
    return np.asarray(cv2.absdiff(levels[1:, :-1], corner) + cv2.absdiff(levels[:-1, 1:], corner), np.float32)


def _shares(gradient: NDArray[np.float32]) -> list[float]:
    """Mean gradient of each patch, as a share of that of the face."""
    of_face = max(cv2.mean(gradient[8:52, 8:48])[0], 1e-6)
    return [
        cv2.mean(gradient[y - height : y + height + 1, x - width : x + width + 1])[0] / of_face
        for x, y, width, height in _PATCHES
    ]


def _ramp(value: float, low: float, high: float) -> float:
    """Rise linearly from 0 at ``low`` to 1 at ``high``, constant outside; ``low`` may be greater than ``high``."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
