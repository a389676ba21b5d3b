"""What a gallery keeps of how its threshold was chosen, and how that stands today."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

CurvePoint = tuple[float, float]
"""A similarity, and the share of searches for unknown people whose best similarity reaches it."""

MAX_CURVE_POINTS = 40


class CalibrationSource(enum.Enum):
    """Whose searches for unknown people were counted."""

    PROBES = "probes"
    """Pictures of people, each searched for with its own subject left out."""
    ITSELF = "itself"
    """Templates of the gallery, searched for among those of its other subjects."""
    ITSELF_AND_COHORT = "itself and a cohort"
    """The same, and the templates of another gallery."""


class CalibrationState(enum.Enum):
    """Whether a gallery's threshold is what its calibration says."""

    NOT_CALIBRATED = "not calibrated"
    CURRENT = "current"
    STALE = "stale"


class StaleReason(enum.Enum):
    """Why a calibration says nothing of the gallery any more, or less."""

    OUTGROWN = "outgrown"
    """The gallery has more templates than it was calibrated for, by more than a tenth."""
    CONTRACT_CHANGED = "contract changed"
    """The server's model is another than the one it was calibrated with."""
    THRESHOLD_CHANGED = "threshold changed"
    """The threshold was set otherwise since."""
    MEAN_OF_BEST_CHANGED = "mean_of_best changed"
    """Similarities are taken over more templates, or fewer, since."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The threshold that was chosen for a gallery, and the evidence.

    FPIR is the false-positive identification rate of ISO/IEC 19795-1: the share of searches for people who are not in
    the gallery that are answered with somebody.

    Attributes:
        target_fpir: what was asked for, at ``for_templates`` templates; (0, 1).
        threshold: what was chosen, a float32 value in [-1, 1].
        fpir: at that threshold and the size of then, [0, 1].
        fpir_low: lower end of its 95 % interval.
        fpir_high: upper end.
        model: what ``fpir`` comes from: "empirical", which is counted, or the model that the tail follows.
        source: whose searches were counted.
        data_set: a name for people of where they come from; may be empty.
        data_set_sha256: hexadecimal digest over what was searched for.
        searches: how many searches were counted.
        identities: of how many people.
        failures: how many found nobody because there was no face to search for; and pictures that could not be read,
            which were not counted.
        templates: how many templates a search compared.
        for_templates: for how many the threshold was chosen.
        contract: the embedding contract.
        mean_of_best: see :class:`gallery.records.records.Gallery`.
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


@dataclass(frozen=True, slots=True)
class Standing:
    """How a gallery's calibration stands.

    Attributes:
        state: whether it holds.
        reasons: why not, where it is stale.
    """

    state: CalibrationState
    reasons: tuple[StaleReason, ...] = ()
