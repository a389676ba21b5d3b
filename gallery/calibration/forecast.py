"""What a threshold will do in use: whom it will miss, whom it will mistake, and whether the evidence can be trusted."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from gallery.calibration.own_pictures import OwnPictures

MAX_OWN_MISSED = 0.2
"""The largest share of enrolled people's own pictures that a threshold may be expected to miss."""
MAX_CONTAMINATION = 0.4
"""The largest share of subjects that may seem to be enrolled under two ids or with wrong pictures."""

_Z = 1.96


class UnreliableReason(enum.Enum):
    """Why a threshold should not be set."""

    OWN_PICTURES_MISSED = "own pictures missed"
    """The threshold would miss too many of the enrolled people's own pictures."""
    THRESHOLD_OUT_OF_RANGE = "threshold out of range"
    """The threshold lies where this gallery's similarities of different people, or of one person, do not."""
    CONTAMINATED = "contaminated"
    """Too many subjects seem to be enrolled under two ids or with wrong pictures, or too many strangers enrolled."""
    UNCERTAIN = "uncertain"
    """The evidence is too small or too mixed: the FPIR may be far from the target."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a threshold will do in use. Intervals are 95 %.

    Attributes:
        fpir: expected share of unknown people who are taken for somebody, [0, 1], at the calibration's ``templates``.
        fpir_low: lower end of its interval.
        fpir_high: upper end.
        fnir: expected share of pictures of enrolled people that match nobody, [0, 1]; ``None`` if no subject has
            several templates. Pictures that seem to show another person are left out.
        fnir_low: lower end of its interval; ``None`` as ``fnir``.
        fnir_high: upper end; ``None`` as ``fnir``.
        own_searches: number of the gallery's templates that were compared with the others of their subject.
        own_missed: how many of these are less similar than the threshold to all of them.
        own_missed_subjects: number of subjects with such a template.
        contamination: estimated share of subjects that are enrolled under two ids or with wrong pictures, [0, 1]; in a
            calibration from labelled probes, the share of people searched for who are enrolled under another id.
        contamination_low: lower end of its interval.
        contamination_high: upper end.
        unreliable: why the threshold should not be set; empty if it can be.
    """

    fpir: float
    fpir_low: float
    fpir_high: float
    fnir: float | None
    fnir_low: float | None
    fnir_high: float | None
    own_searches: int
    own_missed: int
    own_missed_subjects: int
    contamination: float
    contamination_low: float
    contamination_high: float
    unreliable: tuple[UnreliableReason, ...] = ()

    def figures(self) -> Mapping[str, str]:
        """Return the figures as text, for the metadata of an error."""
        values = {
            "fpir": self.fpir,
            "fpir_low": self.fpir_low,
            "fpir_high": self.fpir_high,
            "fnir": self.fnir,
            "fnir_low": self.fnir_low,
            "fnir_high": self.fnir_high,
            "own_searches": self.own_searches,
            "own_missed": self.own_missed,
            "own_missed_subjects": self.own_missed_subjects,
            "contamination": self.contamination,
            "contamination_low": self.contamination_low,
            "contamination_high": self.contamination_high,
        }
        return {name: f"{value:.4g}" for name, value in values.items() if value is not None}


def make_forecast(
    threshold: float,
    fpir: tuple[float, float, float],
    own: OwnPictures,
    *,
    contaminated: int,
    people: int,
) -> Forecast:
    """Say what a threshold will do.

    Args:
        threshold: [-1, 1].
        fpir: the FPIR at it, and both ends of its interval.
        own: the gallery's own pictures.
        contaminated: how many people seem to be enrolled under two ids.
        people: of how many.
    """
    missed = own.missed(threshold)
    fnir = own.fnir(threshold, own.similarity >= own.other)
    contamination, low, high = wilson(contaminated, people)
    unreliable = []
    if fnir is not None and fnir[0] > MAX_OWN_MISSED:
        unreliable.append(UnreliableReason.OWN_PICTURES_MISSED)
    if contamination > MAX_CONTAMINATION:
        unreliable.append(UnreliableReason.CONTAMINATED)
    expected, fpir_low, fpir_high = fpir
    missed_share, fnir_low, fnir_high = fnir or (None, None, None)
    return Forecast(
        fpir=expected,
        fpir_low=fpir_low,
        fpir_high=fpir_high,
        fnir=missed_share,
        fnir_low=fnir_low,
        fnir_high=fnir_high,
        own_searches=len(own),
        own_missed=int(missed.sum()),
        own_missed_subjects=len({own.subject_ids[row] for row in missed.nonzero()[0].tolist()}),
        contamination=contamination,
        contamination_low=low,
        contamination_high=high,
        unreliable=tuple(unreliable),
    )


def wilson(count: int, total: int) -> tuple[float, float, float]:
    """Return a share and its 95 % interval (Wilson 1927)."""
    share = count / total
    middle = share + _Z**2 / (2 * total)
    half = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    scale = 1 + _Z**2 / total
    return share, max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
