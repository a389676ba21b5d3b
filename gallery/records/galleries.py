"""A gallery, where its threshold comes from, and a change to it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from gallery.records.calibrations import Calibration
from gallery.records.policies import NO_POLICY, GalleryPolicy

MAX_MEAN_OF_BEST = 16
"""The maximum of ``mean_of_best``."""

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


@dataclass(frozen=True, slots=True)
class Gallery:
    """A set of subjects that are searched together.

    Attributes:
        gallery_id: the id.
        display_name: a name for people.
        threshold: a probe matches if its similarity to the best subject is at least this; cosine in [-1, 1],
            rounded to float32, as similarities are.
        mean_of_best: a subject's similarity is the mean over this many of its best templates, or over all of them if
            it has fewer; 1 (the best template alone) to :data:`MAX_MEAN_OF_BEST`.
        contract: the embedding contract of all its templates.
        subject_count: the number of subjects, without those that have expired.
        template_count: the number of templates, without those that have expired.
        create_time: UTC, to the microsecond.
        update_time: when the name, threshold, ``mean_of_best``, calibration or policy last changed; UTC, to the
            microsecond.
        etag: opaque; changes whenever ``update_time`` does.
        calibration: the last calibration of the threshold; ``None`` if there was none.
        threshold_source: where the threshold comes from.
        policy: what it demands of the people in it, and how long it keeps them.
    """

    gallery_id: str
    display_name: str
    threshold: float
    mean_of_best: int
    contract: str
    subject_count: int
    template_count: int
    create_time: datetime
    update_time: datetime
    etag: str
    calibration: Calibration | None = None
    threshold_source: ThresholdSource = ThresholdSource.CALLER
    policy: GalleryPolicy = NO_POLICY


@dataclass(frozen=True, slots=True)
class GalleryChange:
    """What to change in a gallery; ``None`` leaves a value as it is.

    Attributes:
        display_name: see :class:`Gallery`, like the others.
        threshold: [-1, 1]; rounded to float32 when it is applied.
        mean_of_best: 1 to :data:`MAX_MEAN_OF_BEST`.
        calibration: the calibration that ``threshold`` comes from.
        policy: the whole policy.
    """

    display_name: str | None = None
    threshold: float | None = None
    mean_of_best: int | None = None
    calibration: Calibration | None = None
    policy: GalleryPolicy | None = None

    def apply(self, gallery: Gallery, *, etag: str, time: datetime) -> Gallery:
        """Return the changed gallery with a new etag and update time."""
        changed = replace(gallery, etag=etag, update_time=time)
        if self.display_name is not None:
            changed = replace(changed, display_name=self.display_name)
        if self.mean_of_best is not None:
            changed = replace(changed, mean_of_best=self.mean_of_best)
        if self.calibration is not None:
            changed = replace(changed, calibration=self.calibration)
        if self.policy is not None:
            changed = replace(changed, policy=self.policy)
        if self.threshold is not None:
            source = ThresholdSource.CALLER if self.calibration is None else ThresholdSource.CALIBRATION
            changed = replace(changed, threshold=rounded_threshold(self.threshold), threshold_source=source)
        return changed


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
