"""The threshold of a stream that sets none."""

from __future__ import annotations

import math

from gallery.records.galleries import Gallery
from gallery.records.thresholds import ThresholdSource

_ONE_SUBJECT = 0.225
"""The threshold for a gallery of one subject. In LFW 1 stranger in 1,000 reaches 0.23."""
_PER_TENFOLD = 0.052
"""The increase for ten times as many subjects, each of whom is another chance of a false match: 1 stranger in 1,000
reaches 0.28 in galleries of 10, and 0.33 in those of 100. At 1,000 wrong labels (people under two names) decide."""
_ABOVE_DEFAULT = 0.04
"""Maximum above the gallery's own default: a stream looks often, so a stranger has more chances than in one picture."""


def stream_threshold(gallery: Gallery) -> float:
    """Return the threshold of a stream that sets none, cosine in [-1, 1].

    It is the gallery's threshold if a caller or a calibration set it. The default is meant for single pictures and
    galleries of any size. A stream decides by the mean over several faces of a track, which is closer to its subject
    and further from all others than a single face, and most cameras look for only a few people. For a gallery with
    the default threshold it is therefore ``0.225 + 0.052 * log10(subjects)``, at most 0.04 above the default.

    Args:
        gallery: the gallery as it is now.
    """
    if gallery.threshold_source is not ThresholdSource.DEFAULT:
        return gallery.threshold
    return threshold_for(gallery.subject_count, gallery.threshold)


def threshold_for(subjects: int, default: float) -> float:
    """The threshold of a stream for a gallery of so many subjects with the default threshold."""
    return min(default + _ABOVE_DEFAULT, _ONE_SUBJECT + _PER_TENFOLD * math.log10(max(1, subjects)))
