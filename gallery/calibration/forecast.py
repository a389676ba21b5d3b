"""What a threshold will do in use: whom it will miss, whom it will mistake, and whether the evidence can be trusted."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.contamination import Separation
from gallery.calibration.own_pictures import OwnPictures
from gallery.intervals import wilson

MAX_OWN_MISSED = 0.1
"""The largest share of enrolled people's own pictures that a threshold may be expected to miss."""
MAX_CONTAMINATION = 0.4
"""The largest share of subjects that may seem to be enrolled under two ids or with wrong pictures. If a fifth of the
people is enrolled twice, it is a third of the ids."""
MAX_DISAGREEMENT = 20.0
"""How many times the FPIR of labelled strangers may exceed that of the law that most of their searches follow."""
MAX_UNCERTAINTY = 2.35
"""How many times the expected FPIR the upper end of its interval may be, in a gallery calibrated against itself."""

_PEOPLE_EXPONENT = 3.0
"""The logarithm of that factor falls with the root of this order of the number of people: slower than with the square
root, because what is assumed of the shape counts more in a small gallery."""
_ROUNDED = 10


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
        people_needed: how many people would do, roughly, if the evidence is too small; ``None`` otherwise.
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
    people_needed: int | None = None

    def figures(self) -> Mapping[str, str]:
        """Return the figures as text by the names of the wire format, for the metadata of an error."""
        shares = {
            "fpir": self.fpir,
            "fpir_low": self.fpir_low,
            "fpir_high": self.fpir_high,
            "fnir": self.fnir,
            "fnir_low": self.fnir_low,
            "fnir_high": self.fnir_high,
            "contamination": self.contamination,
            "contamination_low": self.contamination_low,
            "contamination_high": self.contamination_high,
        }
        counts = {
            "own_search_count": self.own_searches,
            "own_missed_count": self.own_missed,
            "own_missed_subject_count": self.own_missed_subjects,
        }
        known = {name: f"{value:.4g}" for name, value in shares.items() if value is not None}
        if self.people_needed is not None:
            counts["people_needed"] = self.people_needed
        return known | {name: str(value) for name, value in counts.items()}


@dataclass(frozen=True, slots=True)
class Searched:
    """The searches of a calibration.

    Attributes:
        subject_ids: the subject of each.
        groups: numbers of groups of searches that depend on each other, shape ``(n,)``.
        separation: which of them found the person under another id; ``None`` if that cannot be told.
    """

    subject_ids: Sequence[str]
    groups: NDArray[np.intp]
    separation: Separation | None


def make_forecast(
    threshold: float,
    fpir: tuple[float, float, float],
    own: OwnPictures,
    searched: Searched,
    *,
    is_cross_subject: bool,
    is_ambiguous: bool = False,
) -> Forecast:
    """Say what a threshold will do.

    Own pictures that are less similar to their subject than strangers are to somebody, or that a search finds under
    another id, seem to show another person. They are left out of the FNIR; the upper end of its interval counts those
    that no search finds elsewhere, because a poor picture of the right person is as dissimilar.

    Args:
        threshold: [-1, 1].
        fpir: the FPIR at it, and both ends of its interval.
        own: the gallery's own pictures.
        searched: the searches.
        is_cross_subject: whether the gallery's own templates were searched for.
        is_ambiguous: whether the searches do not follow the law that the FPIR is from; see
            :mod:`gallery.calibration.doubts`.
    """
    missed, separation = own.missed(threshold), searched.separation
    unlike = own.similarity < (separation.law.location if separation else -1.0)
    elsewhere = (own.similarity < own.other) & (own.other >= threshold) & missed
    fnir = own.fnir(threshold, ~(unlike | elsewhere))
    fnir_high = own.fnir(threshold, ~elsewhere)
    contaminated = _contaminated(searched, own, unlike | elsewhere, is_cross_subject=is_cross_subject)
    groups = len(np.unique(searched.groups))
    contamination = float(np.mean(list(contaminated.values())))
    low, high = wilson(contamination * groups, groups)
    unreliable = []
    if fnir and fnir[0] > MAX_OWN_MISSED and fnir[1] > MAX_OWN_MISSED / 2:
        unreliable.append(UnreliableReason.OWN_PICTURES_MISSED)
    out_of_range = separation is not None and separation.law.fpir(threshold) * MAX_DISAGREEMENT < fpir[0]
    if out_of_range or threshold > min(own.highest_threshold, own.mates.highest):
        unreliable.append(UnreliableReason.THRESHOLD_OUT_OF_RANGE)
    if contamination > MAX_CONTAMINATION:
        unreliable.append(UnreliableReason.CONTAMINATED)
    is_wide = is_cross_subject and fpir[2] > MAX_UNCERTAINTY * fpir[0]
    if is_ambiguous or is_wide:
        unreliable.append(UnreliableReason.UNCERTAIN)
    expected, fpir_low, fpir_high = fpir
    missed_share, fnir_low, _ = fnir or (None, None, None)
    return Forecast(
        fpir=expected,
        fpir_low=fpir_low,
        fpir_high=fpir_high,
        fnir=missed_share,
        fnir_low=fnir_low,
        fnir_high=max(fnir[2], fnir_high[2]) if fnir and fnir_high else None,
        own_searches=len(own),
        own_missed=int(missed.sum()),
        own_missed_subjects=len({own.subject_ids[row] for row in missed.nonzero()[0].tolist()}),
        contamination=contamination,
        contamination_low=low,
        contamination_high=high,
        unreliable=tuple(unreliable),
        people_needed=_people_needed(fpir, searched) if is_wide and not is_ambiguous and fpir[0] > 0 else None,
    )


def _people_needed(fpir: tuple[float, float, float], searched: Searched) -> int:
    """Return roughly how many people take the upper end of the interval to the highest that is allowed."""
    people = len(set(searched.subject_ids))
    factor = math.log(fpir[2] / fpir[0]) / math.log(MAX_UNCERTAINTY)
    return math.ceil(people * math.pow(factor, _PEOPLE_EXPONENT) / _ROUNDED) * _ROUNDED


def _contaminated(
    searched: Searched, own: OwnPictures, strange: NDArray[np.bool_], *, is_cross_subject: bool
) -> dict[str, float]:
    """Return how likely each person is enrolled under a further id, or the share of its pictures that seem strange."""
    mated = searched.separation.mated if searched.separation else np.zeros(len(searched.subject_ids))
    shares = _means(searched.subject_ids, mated)
    if is_cross_subject:
        for subject_id, share in _means(own.subject_ids, strange).items():
            shares[subject_id] = max(shares.get(subject_id, 0.0), share)
    return shares


def _means(names: Sequence[str], values: NDArray[Any]) -> dict[str, float]:
    """Return the mean of the values of each name."""
    if not len(names):
        return {}
    distinct, rows, counts = np.unique(np.asarray(names), return_inverse=True, return_counts=True)
    means = np.bincount(rows, weights=values.astype(np.float64)) / counts
    return dict(zip(distinct.tolist(), means.tolist(), strict=True))
