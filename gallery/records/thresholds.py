"""Where a gallery's threshold comes from."""

from __future__ import annotations

import enum

import numpy as np

from gallery.records.calibrations import Calibration

DEFAULT_THRESHOLD = 0.34
"""The threshold of a gallery that is created without one, unless the server is configured otherwise."""


class ThresholdSource(enum.Enum):
    """Where a gallery's threshold comes from. The values are stored and exported."""

    DEFAULT = "default"
    """Nobody chose it: the gallery was created without a threshold."""
    CALLER = "caller"
    """A caller set it."""
    CALIBRATION = "calibration"
    """A calibration set it."""


def rounded_threshold(threshold: float) -> float:
    """Round a threshold to float32, so that it compares with similarities as a client sees both."""
    return float(np.float32(threshold))


def infer_threshold_source(
    threshold: float, calibration: Calibration | None, *, default_threshold: float | None
) -> ThresholdSource:
    """Infer the source of a threshold that was stored before sources were.

    Args:
        threshold: the stored threshold.
        calibration: the stored calibration.
        default_threshold: the server's default threshold; ``None`` if it is not known. A gallery that was never
            calibrated and has exactly this threshold is taken for one whose threshold nobody chose.
    """
    if calibration is not None and threshold == calibration.threshold:
        return ThresholdSource.CALIBRATION
    if calibration is None and default_threshold is not None and threshold == rounded_threshold(default_threshold):
        return ThresholdSource.DEFAULT
    return ThresholdSource.CALLER
