"""Whether a face is fit to be enrolled, or to be searched for."""

from __future__ import annotations

from recognizer.errors import FaceTooBlurred, FaceTooSmall, FaceTooTurned, Unfit
from recognizer.quality import Quality, QualityLimits


def need_fit(quality: Quality, limits: QualityLimits) -> None:
    """Refuse a face that would make a poor template.

    Raises:
        Unfit: it is too small, too blurred or too turned.
    """
    if unfit := shortfall(quality, limits):
        raise unfit


def shortfall(quality: Quality, limits: QualityLimits) -> Unfit | None:
    """In what a face falls short of the limits; ``None`` where it does not."""
    if quality.size < limits.min_size:
        return FaceTooSmall(
            f"the face is {quality.size:.0f} pixels on its shorter side, the least is {limits.min_size:.0f}",
        )
    if quality.sharpness < limits.min_sharpness:
        return FaceTooBlurred(
            f"the face has a sharpness of {quality.sharpness:.2f}, the least is {limits.min_sharpness:.2f}",
        )
    if max(abs(quality.yaw), abs(quality.pitch)) > limits.max_turn:
        return FaceTooTurned(
            f"the face is turned by {quality.yaw:.0f} degrees to the side and {quality.pitch:.0f} up, "
            f"the most is {limits.max_turn:.0f}",
        )
    return None
