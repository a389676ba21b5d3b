"""Whether recent faces differ from those of a reference period, and in which quantity."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.estimation.reference import BLOCK, MIN_COUNTS, Reference, Usual, distance, histogram
from gallery.observations.records import Counts

WINDOW = BLOCK
"""How many faces to compare at once: at most two such windows pass between a clear change and its alarm."""
MIN_FACES = 100
"""Fewer recent faces than this are not compared."""
MIN_BLOCKS = 6
"""A quantity needs this many blocks (:attr:`gallery.estimation.reference.Usual.blocks`) in it."""
MIN_REFERENCE = MIN_BLOCKS * BLOCK
"""A reference period needs at least this many faces to have them."""
ALARM_AT = 0.1 / 1200
"""An alarm needs a smaller probability. 10,000 faces a day make 1,200 windows of :data:`WINDOW` faces a month, so that
chance alone gives an alarm in ten months."""


class NotCompared(enum.Enum):
    """Why recent faces were not compared with a reference period."""

    TOO_FEW_FACES = "too few faces"
    """There are fewer than :data:`MIN_FACES` recent faces."""
    TOO_LITTLE_REFERENCE = "too little reference"
    """The reference period has fewer than :data:`MIN_BLOCKS` blocks of :data:`WINDOW` faces, or is not over yet."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a quantity moved.

    Attributes:
        name: one of :data:`gallery.estimation.reference.NAMES`.
        distance: the largest difference between the distribution functions, [0, 1].
        limit: the distance that raises an alarm; 1 if no change can: the quantity varies too much in the reference
            period, or was counted too seldom.
        rise: the share of recent values in the reference's median bin and above, minus that of the reference, [-1, 1]:
            positive if values grew.
        probability: of such a distance by chance, [0, 1], for this quantity alone.
    """

    name: str
    distance: float
    limit: float
    rise: float
    probability: float

    @property
    def moved(self) -> bool:
        """Whether the distance exceeds the limit."""
        return self.distance > self.limit


@dataclass(frozen=True, slots=True)
class Drift:
    """A comparison of recent faces with a reference period.

    Attributes:
        faces: the number of recent faces.
        reference_faces: the number of faces in the reference period.
        probability: of a difference as large by chance, over all quantities, [0, 1]; 1 if nothing was compared.
        shifts: by rising probability.
        reason: why nothing was compared; ``None`` otherwise.
    """

    faces: int
    reference_faces: int
    probability: float
    shifts: tuple[Shift, ...]
    reason: NotCompared | None = None

    @property
    def alarm(self) -> bool:
        """Whether a quantity moved more than chance and the usual differences between hours explain."""
        return bool(self.moved)

    @property
    def moved(self) -> tuple[Shift, ...]:
        """The shifts that raise the alarm, the clearest first."""
        return tuple(each for each in self.shifts if each.moved)


def too_little_reference(reference_faces: int) -> Drift:
    """A comparison with a reference period that is not over yet: there is none."""
    return Drift(0, reference_faces, 1.0, (), NotCompared.TOO_LITTLE_REFERENCE)


def drift(recent: Counts, reference: Reference) -> Drift:
    """Compare recent faces with a reference period, quantity by quantity.

    The distance is that of Kolmogorov (1933) and Smirnov (1948). A limit has these parts:

    - Its probability by chance is :data:`ALARM_AT`, divided by the number of quantities (Bonferroni).
    - Faces of one hour are alike, so they count as fewer: ``n / (1 + (n - 1) * correlation)`` (Kish 1965), with the
      correlation that the hours of the reference period have. Fewer faces than an hour has count as an hour there:
      neighbouring ones are the most alike.
    - It is at least the largest distance of an hour of the reference period, and at most that plus what chance adds for
      independent faces: nights and rush hours differ much, but not much more on one day than on another. One odd hour
      in forty is left out.

    ``decision`` tells how the reference period would have decided, so that another threshold is no change.

    A distribution function over bins is coarser than over values, so the probability is an upper bound.

    Args:
        recent: the newest faces, about :data:`WINDOW`; with more, an alarm comes later.
        reference: of the same gallery and source.
    """
    reason = None
    if recent.faces < MIN_FACES:
        reason = NotCompared.TOO_FEW_FACES
    usual = {name: each for name, each in reference.usual.items() if each.blocks >= MIN_BLOCKS}
    if not usual:
        reason = NotCompared.TOO_LITTLE_REFERENCE
    if reason:
        return Drift(recent.faces, reference.faces, 1.0, (), reason)
    shifts = [
        _shift(name, counts, each, len(usual))
        for name, each in usual.items()
        if (counts := histogram(recent, name, reference.match_shares)).sum() >= MIN_COUNTS
    ]
    shifts.sort(key=lambda each: each.probability)
    probability = min((each.probability * len(usual) for each in shifts), default=1.0)
    return Drift(recent.faces, reference.faces, min(1.0, probability), tuple(shifts))


def _shift(name: str, counts: NDArray[np.float64], usual: Usual, quantities: int) -> Shift:
    count = float(counts.sum())
    shares = counts / count
    whole = max(1 / usual.count, usual.correlation / usual.blocks)
    reach = math.log(2 * quantities / ALARM_AT)
    independent = math.sqrt(reach / 2 * (1 / count + whole))
    effect = 1 + (max(count, usual.size) - 1) * usual.correlation
    correlated = math.sqrt(reach / 2 * (effect / count + whole))
    reached = min(max(correlated, usual.largest), usual.largest + independent)
    found = float(distance(shares, usual.shares))
    upper = np.cumsum(usual.shares) > 0.5
    return Shift(
        name,
        distance=found,
        limit=min(1.0, reached),
        rise=float(shares[upper].sum() - usual.shares[upper].sum()),
        probability=min(1.0, 2 * math.exp(-reach * (found / reached) ** 2)),
    )
