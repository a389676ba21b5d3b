"""From which similarity on a stream's track is somebody."""

from __future__ import annotations

import math

import numpy as np

from gallery.records.records import Gallery

_ALONE = 0.22
"""Enough in a gallery of one subject."""
_TENFOLD = 0.05
"""How much more in one of ten times as many: each of them is a chance to be mistaken for somebody."""


def stream_threshold(gallery: Gallery, default: float) -> float:
    """The threshold of a stream that brings none, cosine in [-1, 1].

    The gallery's, where it was calibrated or is not the default: then somebody chose it. The default is made for single
    pictures and galleries of any size. A stream decides by the mean over several faces of a track, which is nearer to
    its subject and further from everybody else than a single face is, and most cameras watch for a few people only:
    ``0.22 + 0.05 * log10(subjects)``, if that is lower.

    Args:
        gallery: the gallery as it is now.
        default: the server's threshold for galleries of which nobody says one.
    """
    if gallery.calibration is not None or gallery.threshold != float(np.float32(default)):
        return gallery.threshold
    return min(gallery.threshold, _ALONE + _TENFOLD * math.log10(max(1, gallery.subject_count)))
