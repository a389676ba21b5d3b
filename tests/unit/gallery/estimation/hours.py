"""Hours of a camera: faces with normally distributed measures, which may follow the time of day."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gallery.observations.quantities import BINS, Quantity
from gallery.observations.records import NOTHING, Counts
from gallery.records.identifications import Decision

_USUAL: Mapping[Quantity, tuple[float, float]] = {
    Quantity.MARGIN: (0.3, 0.1),
    Quantity.QUALITY: (0.7, 0.15),
    Quantity.FACE_SIZE: (90, 25),
    Quantity.YAW: (0, 15),
    Quantity.PITCH: (0, 10),
    Quantity.SHARPNESS: (0.35, 0.05),
    Quantity.BRIGHTNESS: (0.5, 0.1),
    Quantity.DETECTION_SCORE: (0.8, 0.08),
    Quantity.FACES_PER_PICTURE: (1.5, 1.0),
}
_MATCHES = 0.6


def hour(
    faces: int,
    rng: np.random.Generator,
    *,
    moved: Mapping[Quantity, float] | None = None,
    matches: float = _MATCHES,
) -> Counts:
    """Count faces.

    Args:
        faces: the number of faces.
        rng: a generator.
        moved: by how many standard deviations a quantity is larger than usual.
        matches: the share of faces that are decided as a match.
    """
    histograms = dict(NOTHING.histograms)
    for quantity, (mean, deviation) in _USUAL.items():
        drawn = rng.normal(mean + (moved or {}).get(quantity, 0.0) * deviation, deviation, faces)
        edges = np.array(BINS[quantity].edges)
        places = np.clip(np.searchsorted(edges, drawn, side="right") - 1, 0, len(edges) - 2)
        histograms[quantity] = np.bincount(places, minlength=len(edges) - 1).astype(np.int64)
    found = int(rng.binomial(faces, matches))
    shift = (moved or {}).get(Quantity.BEST_SIMILARITY, 0.0)
    for quantity, best in (
        (Quantity.BEST_OF_MATCHES, rng.normal(0.6 + 0.1 * shift, 0.08, found)),
        (Quantity.BEST_SIMILARITY, rng.normal(0.25 + 0.1 * shift, 0.04, faces - found)),
    ):
        edges = np.array(BINS[quantity].edges)
        histograms[quantity] = np.histogram(np.clip(best, -1, 0.999), edges)[0].astype(np.int64)
    histograms[Quantity.BEST_SIMILARITY] = histograms[Quantity.BEST_SIMILARITY] + histograms[Quantity.BEST_OF_MATCHES]
    decisions = {Decision.MATCH: found, Decision.UNKNOWN: faces - found, Decision.REFUSED: 0}
    return Counts(decisions, 500 * faces, histograms)
