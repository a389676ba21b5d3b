"""Checks whether the quality of a face suffices to enrol or identify it."""

from __future__ import annotations

from recognizer.errors import (
    FaceNegative,
    FaceOccluded,
    FaceOverexposed,
    FaceTooBlurred,
    FaceTooDark,
    FaceTooNoisy,
    FaceTooSmall,
    FaceTooTurned,
    Unfit,
)
from recognizer.quality import DIRECTIONAL_MIN_SIZE, Quality, QualityLimits


def need_fit(quality: Quality, limits: QualityLimits) -> None:
    """Refuse a face of low quality.

    Raises:
        Unfit: the face is too small, blurred, dark or noisy, overexposed, turned too far, covered, or a negative.
    """
    if unfit := shortfall(quality, limits):
        raise unfit


def meets(quality: Quality, limits: QualityLimits) -> bool:
    """Whether a face meets all limits."""
    return shortfall(quality, limits) is None


def shortfall(quality: Quality, limits: QualityLimits) -> Unfit | None:
    """Return the first limit that a face does not meet, as an error; ``None`` if it meets all.

    What makes other measures wrong comes first: a bar over the eyes has few fine gradients, and none is dark or bright.
    """
    if quality.size < limits.min_size:
        return FaceTooSmall(
            f"the shorter side of the face is {quality.size:.0f} pixels, the minimum is {limits.min_size:.0f}"
        )
    if quality.brightness < limits.min_brightness:
        return FaceTooDark(
            f"the brightness of the face is {quality.brightness:.2f}, the minimum is {limits.min_brightness:.2f}"
        )
    if quality.noise > limits.max_noise:
        return FaceTooNoisy(f"the noise of the face is {quality.noise:.2f}, the maximum is {limits.max_noise:.2f}")
    if quality.overexposure > limits.max_overexposure:
        return FaceOverexposed(
            f"{quality.overexposure:.0%} of the face is white, the maximum is {limits.max_overexposure:.0%}"
        )
    if max(abs(quality.yaw), abs(quality.pitch)) > limits.max_turn:
        return FaceTooTurned(
            f"the face is turned {quality.yaw:.0f} degrees sideways and {quality.pitch:.0f} up, "
            f"the maximum is {limits.max_turn:.0f}"
        )
    if quality.sharpness < limits.min_sharpness:
        return FaceTooBlurred(
            f"the sharpness of the face is {quality.sharpness:.2f}, the minimum is {limits.min_sharpness:.2f}"
        )
    if quality.eye_detail < limits.min_eye_detail:
        return FaceOccluded(
            f"an eye is covered, or lies in shadow: its detail is {quality.eye_detail:.2f}, "
            f"the minimum is {limits.min_eye_detail:.2f}"
        )
    if quality.mouth_detail < limits.min_mouth_detail:
        return FaceOccluded(
            f"the mouth is covered: its detail is {quality.mouth_detail:.2f}, "
            f"the minimum is {limits.min_mouth_detail:.2f}"
        )
    if quality.size >= DIRECTIONAL_MIN_SIZE and quality.directional_sharpness < limits.min_directional_sharpness:
        return FaceTooBlurred(
            f"the sharpness of the face in one direction is {quality.directional_sharpness:.2f}, "
            f"the minimum is {limits.min_directional_sharpness:.2f}"
        )
    if quality.polarity < limits.min_polarity:
        return FaceNegative("the eyes are brighter than the cheeks, as in a photographic negative")
    return None
