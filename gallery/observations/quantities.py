"""What is counted of each face, and the bins it is counted in."""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


class Quantity(enum.Enum):
    """What is counted. The values are stored: a quantity with other bins needs another name.

    Similarities are cosines in [-1, 1]. A search is a face that was compared with a gallery: its decision is a match or
    unknown. Faces that were refused have no similarities.
    """

    BEST_SIMILARITY = "best_similarity"
    """Similarity of the best subject, of each search of a gallery that is not empty."""
    BEST_OF_MATCHES = "best_of_matches"
    """The part of ``BEST_SIMILARITY`` that was decided as a match. The rest was unknown."""
    RUNNER_UP = "runner_up_similarity"
    """Similarity of the second-best subject, of each search of a gallery with two subjects."""
    MARGIN = "margin"
    """``BEST_SIMILARITY`` minus ``RUNNER_UP``, [0, 2]."""
    QUALITY = "quality"
    """Summary of the face's quality, [0, 1]."""
    FACE_SIZE = "face_size"
    """Shorter side of the face box, pixels."""
    YAW = "yaw"
    """Degrees, positive to the viewer's right."""
    PITCH = "pitch"
    """Degrees, positive up."""
    SHARPNESS = "sharpness"
    """Share of the gradient that a blur removes, [0, 1]."""
    BRIGHTNESS = "brightness"
    """Mean luminance, [0, 1]."""
    DETECTION_SCORE = "detection_score"
    """Score of the face detector, [0, 1]."""
    FACES_PER_PICTURE = "faces_per_picture"
    """Faces in the picture, counted once for each picture."""
    BEST_AND_MARGIN = "best_and_margin"
    """Best similarity and margin together, of each search of a gallery with two subjects; see :data:`JOINT`.

    They tell strangers, whose best two subjects are alike, from mates: see :mod:`gallery.estimation.mixture`.
    """
    BEST_AND_QUALITY = "best_and_quality"
    """Best similarity and quality together, of each search of a gallery that is not empty; see :data:`JOINT`."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins that lie side by side.

    Attributes:
        edges: rising; bin ``i`` holds values from ``edges[i]`` to below ``edges[i + 1]``. The first and the last bin
            also hold what lies beyond them.
    """

    edges: tuple[float, ...]

    def __len__(self) -> int:
        """The number of bins."""
        return len(self.edges) - 1

    def index(self, value: float) -> int:
        """The bin of a value, which must not be NaN."""
        return min(max(bisect_right(self.edges, value) - 1, 0), len(self.edges) - 2)


def _even(low: float, high: float, bins: int) -> Bins:
    """Bins of equal width. The edges are float32 values as similarities and thresholds are, so that both compare."""
    return Bins(tuple(float(np.float32(round(edge, 6))) for edge in np.linspace(low, high, bins + 1).tolist()))


BINS: Mapping[Quantity, Bins] = {
    Quantity.BEST_SIMILARITY: _even(-1, 1, 200),
    Quantity.BEST_OF_MATCHES: _even(-1, 1, 200),
    Quantity.RUNNER_UP: _even(-1, 1, 200),
    Quantity.MARGIN: _even(0, 2, 200),
    Quantity.QUALITY: _even(0, 1, 50),
    # Four bins for each doubling, from 8 to 2,048 pixels.
    Quantity.FACE_SIZE: Bins((0.0, *(8 * 2 ** (step / 4) for step in range(33)))),
    Quantity.YAW: _even(-90, 90, 36),
    Quantity.PITCH: _even(-90, 90, 36),
    Quantity.SHARPNESS: _even(0, 1, 100),
    Quantity.BRIGHTNESS: _even(0, 1, 50),
    Quantity.DETECTION_SCORE: _even(0, 1, 50),
    Quantity.FACES_PER_PICTURE: Bins((*map(float, range(11)), 15.0, 20.0, 30.0, 50.0, 100.0, 200.0)),
}
"""The bins of each quantity that is counted by itself."""

JOINT: Mapping[Quantity, tuple[Bins, Bins]] = {
    # Margins of strangers are a few hundredths, those of mates a few tenths.
    Quantity.BEST_AND_MARGIN: (_even(-1, 1, 100), Bins((0.0, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3, 2.0))),
    Quantity.BEST_AND_QUALITY: (_even(-1, 1, 100), _even(0, 1, 4)),
}
"""The coarser bins of quantities that are counted together: of the best similarity, and of the other."""

SHAPES: Mapping[Quantity, tuple[int, ...]] = {quantity: (len(bins),) for quantity, bins in BINS.items()} | {
    quantity: (len(rows), len(columns)) for quantity, (rows, columns) in JOINT.items()
}
"""The shape of each quantity's histogram."""
