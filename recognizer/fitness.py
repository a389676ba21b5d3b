"""Checks whether the quality of a face suffices to enrol or identify it."""

from __future__ import annotations

from recognizer.errors import FaceTooBlurred, FaceTooSmall, FaceTooTurned, Unfit
from recognizer.quality import Quality, QualityLimits


def need_fit(quality: Quality, limits: QualityLimits) -> None:
    """Refuse a face of low quality.

    Raises:
        Unfit: the face is too small, too blurred or turned too far.
    """
    if unfit := shortfall(quality, limits):
        raise unfit


def shortfall(quality: Quality, limits: QualityLimits) -> Unfit | None:
    """Return the first limit that a face does not meet, as an error; ``None`` if it meets all."""
    if quality.size < limits.min_size:
        return FaceTooSmall(
            f"the shorter side of the face is {quality.size:.0f} pixels, the minimum is {limits.min_size:.0f}"
        )
    if quality.sharpness < limits.min_sharpness:
        return FaceTooBlurred(
            f"the sharpness of the face is {quality.sharpness:.2f}, the minimum is {limits.min_sharpness:.2f}"
        )
    if max(abs(quality.yaw), abs(quality.pitch)) > limits.max_turn:
        return FaceTooTurned(
            f"the face is turned {quality.yaw:.0f} degrees sideways and {quality.pitch:.0f} up, "
            f"the maximum is {limits.max_turn:.0f}"
        )
    return None
