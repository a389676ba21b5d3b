"""The threshold of a stream that sets none."""

from __future__ import annotations

import math

from gallery.records.galleries import Gallery, ThresholdSource

_ONE_SUBJECT = 0.22
"""The threshold for a gallery of one subject."""
_PER_TENFOLD = 0.05
"""The increase for ten times as many subjects: each of them is another chance of a false match."""


def stream_threshold(gallery: Gallery) -> float:
    """Return the threshold of a stream that sets none, cosine in [-1, 1].

    It is the gallery's threshold if a caller or a calibration set it. The default is meant for single pictures and
    galleries of any size. A stream decides by the mean over several faces of a track, which is closer to its subject
    and further from all others than a single face, and most cameras look for only a few people. For a gallery with
    the default threshold it is therefore ``0.22 + 0.05 * log10(subjects)``, if that is lower.

    Args:
        gallery: the gallery as it is now.
    """
    if gallery.threshold_source is not ThresholdSource.DEFAULT:
        return gallery.threshold
    return min(gallery.threshold, _ONE_SUBJECT + _PER_TENFOLD * math.log10(max(1, gallery.subject_count)))
