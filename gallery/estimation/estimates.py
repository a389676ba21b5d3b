"""The share of unknown people, and the expected FPIR and FNIR of a gallery in use, without labels."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.estimation.mixture import Draws, Spread, draw
from gallery.estimation.strangers import Floats, Strangers
from gallery.observations.quantities import JOINT, Quantity
from gallery.observations.records import Counts
from gallery.records.calibrations import Calibration, CalibrationSource
from gallery.records.identifications import Decision

_SEED = 1
_HIDDEN, _HIDDEN_DEVIATION = 0.006, 2.1
"""The median share of mates that look like strangers, and the standard deviation of its logarithm."""
_BELOW, _BELOW_DEVIATION = 0.2, 1.3
"""The median of further mates that look like strangers, for each that is just above them, and the same deviation."""
_UNSEEN = 0.3
"""Mates that are missed for reasons that no face in the counts shows yet. They matter if there are few mates."""
_OTHER_STRANGERS = 0.5
"""Standard deviation of the logarithm of the FPIR, from calibration's strangers to those who pass by."""
_MIN_MARGINS = 0.9
"""Margins are used if this share of the searches has one. A gallery with one subject gives none."""
_LIKE_PROBES, _LIKE_TEMPLATES = Spread(), Spread(shift=0.06, log_scale=0.2)
_BEST_EDGES, _MARGIN_EDGES = (np.array(bins.edges) for bins in JOINT[Quantity.BEST_AND_MARGIN])


MAX_ERROR_WIDTH, MAX_SHARE_WIDTH = 0.25, 0.5
"""Wider intervals of an error, or of the share of unknown people, hold what is assumed more than what was seen."""


class NoEstimate(enum.Enum):
    """Why nothing can be estimated."""

    NO_SEARCHES = "no searches"
    """No face was compared with the gallery."""
    NOT_CALIBRATED = "not calibrated"
    """The gallery has no calibration, so it is unknown how similar strangers are."""
    OTHER_SIMILARITIES = "other similarities"
    """The calibration is for another embedding model or another ``mean_of_best``."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share and its 95 % interval, all in [0, 1].

    Attributes:
        value: the most plausible share.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def is_wider_than(self, width: float) -> bool:
        """Whether the ends are further apart."""
        return self.high - self.low > width


@dataclass(frozen=True, slots=True)
class OnlineEstimate:
    """What the similarities of a period say about it. The figures cover searches; refused faces have no similarity.

    Attributes:
        searches: the number of faces that were compared with the gallery.
        refused: the number of faces that were too poor to be compared.
        matches: the number of searches that returned somebody.
        threshold: the threshold that the figures are for.
        unknown_share: the share of searches for people who are not in the gallery; ``None`` with a ``reason``.
        fpir: the share of those that return somebody all the same.
        fnir: the share of the other searches that do not return the right subject.
        reason: why nothing could be estimated; ``None`` otherwise.
    """

    searches: int
    refused: int
    matches: int
    threshold: float
    unknown_share: Interval | None = None
    fpir: Interval | None = None
    fnir: Interval | None = None
    reason: NoEstimate | None = None


def estimate(
    counts: Counts,
    calibration: Calibration | None,
    *,
    threshold: float,
    contract: str,
    mean_of_best: int,
) -> OnlineEstimate:
    """Estimate the share of unknown people, FPIR and FNIR from counts.

    What strangers score comes from the calibration, and may have changed since. What mates score is estimated from
    the counts: see :func:`gallery.estimation.mixture.draw`. Two things cannot be seen in counts and are assumed:

    - 0.01 to 37 % of the mates look like strangers (95 %; the median is 0.6 %), because their faces are hidden,
      mistaken, labelled wrong or poor. Further ones do if mates are just above the strangers, as behind a blurred
      camera: 0.02 to 2.6 for each of these (95 %; the median is 0.2). No more than all that look like strangers can be
      mates, which bounds the FNIR where few do.
    - the strangers' tail at the threshold may differ from that of the calibration by a factor of 2.7 (95 %), because
      other people pass by.

    An interval covers both the expected share and the share in these very faces: it is the union of the percentiles of
    both over draws from the posterior distribution. The same input gives the same result. It takes some tenths of a
    second. Faces count as independent: streams count a person once, but for a caller who sends every frame of a video,
    or the same frame of a frozen camera, intervals are too narrow.

    Args:
        counts: of one gallery, with one threshold and about the same size.
        calibration: the gallery's.
        threshold: of the gallery.
        contract: the server's embedding contract.
        mean_of_best: of the gallery.
    """
    matches, refused = counts.decisions[Decision.MATCH], counts.decisions[Decision.REFUSED]
    histogram, margin_edges = _histogram(counts)
    reason = None
    if calibration is None or len(calibration.curve) < 2:
        reason = NoEstimate.NOT_CALIBRATED
    elif calibration.contract != contract or calibration.mean_of_best != mean_of_best:
        reason = NoEstimate.OTHER_SIMILARITIES
    elif not histogram.any():
        reason = NoEstimate.NO_SEARCHES
    if calibration is None or reason:
        return OnlineEstimate(counts.searches, refused, matches, threshold, reason=reason)
    searches = int(histogram.sum())
    draws = draw(
        histogram,
        _BEST_EDGES,
        margin_edges,
        Strangers(calibration.curve, (counts.mean_templates or calibration.templates) / calibration.templates),
        threshold=threshold,
        spread=_LIKE_PROBES if calibration.source is CalibrationSource.PROBES else _LIKE_TEMPLATES,
    )
    unknown_share, fpir, fnir = _figures(draws, calibration, searches)
    return OnlineEstimate(counts.searches, refused, matches, threshold, unknown_share, fpir, fnir)


def _histogram(counts: Counts) -> tuple[NDArray[np.int64], Floats]:
    """Counts of best similarity and margin, or of best similarity alone if margins are missing."""
    both, best = counts.histograms[Quantity.BEST_AND_MARGIN], counts.histograms[Quantity.BEST_SIMILARITY]
    if both.sum() >= _MIN_MARGINS * best.sum():
        return both, _MARGIN_EDGES
    return best.reshape(len(_BEST_EDGES) - 1, -1).sum(1, keepdims=True), _MARGIN_EDGES[[0, -1]]


def _figures(draws: Draws, calibration: Calibration, searches: int) -> tuple[Interval, Interval, Interval]:
    rng = np.random.default_rng(_SEED)
    rounds = len(draws.missed)
    hidden = np.exp(rng.normal(math.log(_HIDDEN), _HIDDEN_DEVIATION, rounds))
    further = draws.near * np.exp(rng.normal(math.log(_BELOW), _BELOW_DEVIATION, rounds))
    hidden = np.minimum(hidden + further, draws.like_strangers)
    unknown = np.clip((draws.like_strangers - hidden) / (1 - hidden), 0.0, 1.0)
    fpir = _fpir(draws, calibration, rng)
    unseen = rng.beta(_UNSEEN, 0.5 + np.maximum(draws.faces - draws.strangers, 0.0))
    fnir = np.clip(1 - (1 - hidden) * (1 - unseen) * (1 - draws.missed), 0.0, 1.0)
    strangers = rng.binomial(searches, unknown)
    return (
        _interval(unknown, strangers / searches),
        _interval(fpir, _realised(strangers, fpir, rng)),
        _interval(fnir, _realised(searches - strangers, fnir, rng)),
    )


def _fpir(draws: Draws, calibration: Calibration, rng: np.random.Generator) -> Floats:
    """Draw the FPIR: the calibration's searches and those of the strangers here, which count no more than the former.

    The prior is a gamma distribution, which the Poisson count of false positives updates.
    """
    sure = math.log(max(calibration.fpir_high, 1e-9) / max(calibration.fpir_low, calibration.fpir_high / 50)) / 3.92
    shape = 1 / (sure**2 + _OTHER_STRANGERS**2)
    worth = shape / np.maximum(draws.expected_fpir, 1e-12)
    weight = np.minimum(1.0, worth / np.maximum(draws.strangers, 1.0))
    drawn = rng.gamma(shape + draws.false_positives * weight) / (worth + draws.strangers * weight)
    return np.minimum(drawn, 1.0)


def _realised(trials: NDArray[np.int64], shares: Floats, rng: np.random.Generator) -> Floats:
    """Draw the share of so many trials; the expected one where there are none."""
    return np.where(trials > 0, rng.binomial(trials, shares) / np.maximum(trials, 1), shares)


def _interval(expected: Floats, realised: Floats) -> Interval:
    low, value, high = np.percentile(expected, (2.5, 50, 97.5))
    realised_low, realised_high = np.percentile(realised, (2.5, 97.5))
    return Interval(float(value), float(min(low, realised_low)), float(max(high, realised_high)))
