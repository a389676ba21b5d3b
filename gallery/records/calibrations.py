"""A calibrated threshold with its evidence, and what it says about a gallery as it is now."""

from __future__ import annotations

import enum
import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

CurvePoint = tuple[float, float]
"""A similarity, and the share of nonmated searches whose best similarity is at least that."""

MAX_CURVE_POINTS = 40

MAX_GROWTH = 1.1
"""A calibration is stale once the gallery has more than this many times the templates it was calibrated for."""


class CalibrationSource(enum.Enum):
    """Which nonmated searches a calibration counted."""

    PROBES = "probes"
    """Pictures of people, each searched for with its own subject left out."""
    ITSELF = "itself"
    """Templates of the gallery, each searched for among the other subjects."""
    ITSELF_AND_COHORT = "itself and a cohort"
    """As ``ITSELF``, and the templates of another gallery."""


class CalibrationState(enum.Enum):
    """Whether a gallery's calibration still holds."""

    NOT_CALIBRATED = "not calibrated"
    CURRENT = "current"
    STALE = "stale"


class StaleReason(enum.Enum):
    """Why a calibration no longer holds."""

    OUTGROWN = "outgrown"
    """The gallery has over a tenth more templates than it was calibrated for."""
    CONTRACT_CHANGED = "contract changed"
    """The server's embedding model is not the one of the calibration."""
    THRESHOLD_CHANGED = "threshold changed"
    """The threshold is not the calibrated one."""
    MEAN_OF_BEST_CHANGED = "mean_of_best changed"
    """Similarities are means over another number of templates."""


@dataclass(frozen=True, slots=True)
class CalibrationStatus:
    """Whether a calibration still holds.

    Attributes:
        state: the state.
        reasons: why it is stale; empty otherwise.
    """

    state: CalibrationState
    reasons: tuple[StaleReason, ...] = ()

    @property
    def curve_applies(self) -> bool:
        """Whether the calibration's curve is about similarities as they are computed now."""
        other_similarities = {StaleReason.CONTRACT_CHANGED, StaleReason.MEAN_OF_BEST_CHANGED}
        return self.state is not CalibrationState.NOT_CALIBRATED and other_similarities.isdisjoint(self.reasons)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold chosen from evidence.

    FPIR is the false-positive identification rate of ISO/IEC 19795-1: the share of nonmated searches (for people who
    are not in the gallery) that return a match.

    Attributes:
        target_fpir: the requested FPIR at ``for_templates`` templates; (0, 1).
        threshold: the chosen threshold, a float32 value in [-1, 1].
        fpir: the FPIR at that threshold and ``templates`` templates, [0, 1].
        fpir_low: lower end of its 95 % interval.
        fpir_high: upper end.
        model: how ``fpir`` was estimated: "empirical" (counted) or the name of the fitted distribution.
        source: which searches were counted.
        data_set: where the probes come from, for people, or the id of the cohort gallery; may be empty.
        data_set_sha256: hexadecimal digest of the probes.
        searches: the number of searches that were counted.
        identities: the number of people they were for.
        failures: searches that returned nobody because there was no usable face, plus pictures that could not be read,
            which were not counted.
        templates: the number of templates that a search compared.
        for_templates: the gallery size that the threshold was chosen for, in templates.
        contract: the embedding contract.
        mean_of_best: see :class:`gallery.records.galleries.Gallery`.
        create_time: UTC, to the microsecond.
        curve: rising in similarity, falling in share, at ``templates`` templates; at most :data:`MAX_CURVE_POINTS`.
    """

    target_fpir: float
    threshold: float
    fpir: float
    fpir_low: float
    fpir_high: float
    model: str
    source: CalibrationSource
    data_set: str
    data_set_sha256: str
    searches: int
    identities: int
    failures: int
    templates: int
    for_templates: int
    contract: str
    mean_of_best: int
    create_time: datetime
    curve: tuple[CurvePoint, ...]

    def told_to(self, permitted: Callable[[str], bool]) -> Calibration:
        """The calibration for somebody who may not know of all galleries: without the id of such a cohort.

        Args:
            permitted: whether a gallery may be named, by its id.
        """
        names_cohort = self.source is CalibrationSource.ITSELF_AND_COHORT
        return replace(self, data_set="") if names_cohort and not permitted(self.data_set) else self

    def false_positive_rate(self, similarity: float, templates: int) -> float:
        """Estimate the probability that the best similarity of an unknown person is at least this.

        The logarithm of the share is interpolated between the points of the curve. The result is never below the share
        of the last point, beyond which there are no searches.

        Args:
            similarity: [-1, 1].
            templates: the number of templates in the gallery.
        """
        above = bisect_right(self.curve, (similarity, math.inf))
        if above == 0:
            share = 1.0
        elif above == len(self.curve) or self.curve[above - 1][0] == similarity:
            share = self.curve[above - 1][1]
        else:
            (left, left_share), (right, right_share) = self.curve[above - 1], self.curve[above]
            share = left_share * (right_share / left_share) ** ((similarity - left) / (right - left))
        return fpir_at_size(share, self.templates, templates)


def calibration_status(
    calibration: Calibration | None, *, contract: str, threshold: float, mean_of_best: int, templates: int
) -> CalibrationStatus:
    """Tell whether a calibration still holds for the server's contract and the gallery as it is now."""
    if calibration is None:
        return _NOT_CALIBRATED
    reasons = []
    if templates > MAX_GROWTH * calibration.for_templates:
        reasons.append(StaleReason.OUTGROWN)
    if contract != calibration.contract:
        reasons.append(StaleReason.CONTRACT_CHANGED)
    if threshold != calibration.threshold:
        reasons.append(StaleReason.THRESHOLD_CHANGED)
    if mean_of_best != calibration.mean_of_best:
        reasons.append(StaleReason.MEAN_OF_BEST_CHANGED)
    return CalibrationStatus(CalibrationState.STALE, tuple(reasons)) if reasons else _CURRENT


def fpir_at_size(fpir: float, templates: int, wanted_templates: int) -> float:
    """Scale an FPIR to a gallery of another size.

    Each template counts as an independent chance of a false match, which overstates the growth if people have several
    templates.

    Args:
        fpir: the FPIR at ``templates`` templates, [0, 1].
        templates: at least 1.
        wanted_templates: the other size.
    """
    return 1.0 if fpir >= 1 else -math.expm1(wanted_templates / templates * math.log1p(-fpir))


_NOT_CALIBRATED = CalibrationStatus(CalibrationState.NOT_CALIBRATED)
_CURRENT = CalibrationStatus(CalibrationState.CURRENT)
