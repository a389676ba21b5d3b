"""One hour of a gallery, from one camera or caller: counts of decisions, and histograms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gallery.observations.quantities import SHAPES, Quantity
from gallery.records.identifications import Decision

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OTHER = "other"
"""The source of what came from more sources than a gallery keeps apart."""
MAX_COUNT = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted. Two of them add up.

    Attributes:
        decisions: the number of faces by decision; each decision has a number.
        templates_compared: the sum over all searches of the templates that each compared.
        histograms: for each quantity its counts, int64 of the shape in :data:`gallery.observations.quantities.SHAPES`;
            each quantity has a histogram. They must not be changed.
        undecoded: the number of pictures and frames that could not be decoded, in which there are no faces.
    """

    decisions: Mapping[Decision, int]
    templates_compared: int
    histograms: Mapping[Quantity, NDArray[np.int64]]
    undecoded: int = 0

    @property
    def faces(self) -> int:
        """The number of faces, also of those that were refused."""
        return sum(self.decisions.values())

    @property
    def searches(self) -> int:
        """The number of faces that were compared with the gallery."""
        return self.decisions[Decision.MATCH] + self.decisions[Decision.UNKNOWN]

    @property
    def mean_templates(self) -> float:
        """The mean number of templates that a search compared: the size of the gallery; 0 without searches."""
        return self.templates_compared / self.searches if self.searches else 0.0

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return total((self, other))


@dataclass(frozen=True, slots=True)
class Observation:
    """What a gallery saw from one source in one hour or, of old times, one day.

    Attributes:
        gallery_id: the gallery.
        source: ``camera:NAME``, ``caller:ID`` or :data:`OTHER`.
        start: when the hour or day begins, UTC.
        span: :data:`HOUR` or :data:`DAY`.
        counts: what was counted.
        counted_since: when the first of it was counted; ``None`` for what comes from a store.
    """

    gallery_id: str
    source: str
    start: datetime
    span: timedelta
    counts: Counts
    counted_since: datetime | None = None

    @property
    def end(self) -> datetime:
        """When the hour or day ends, UTC."""
        return self.start + self.span


NOTHING = Counts(
    decisions=dict.fromkeys(Decision, 0),
    templates_compared=0,
    histograms={quantity: np.zeros(shape, np.int64) for quantity, shape in SHAPES.items()},
)
"""No face at all."""


def total(counts: Iterable[Counts]) -> Counts:
    """Add up any number of counts."""
    decisions, templates_compared, undecoded = dict.fromkeys(Decision, 0), 0, 0
    histograms = {quantity: np.zeros(shape, np.int64) for quantity, shape in SHAPES.items()}
    for each in counts:
        templates_compared += each.templates_compared
        undecoded += each.undecoded
        for decision, count in each.decisions.items():
            decisions[decision] += count
        for quantity, histogram in each.histograms.items():
            histograms[quantity] += histogram
    return Counts(decisions, templates_compared, histograms, undecoded)


def start_of(moment: datetime, span: timedelta) -> datetime:
    """Return when the hour or day begins that holds a time."""
    moment = moment.astimezone(UTC)
    return moment.replace(hour=moment.hour if span == HOUR else 0, minute=0, second=0, microsecond=0)


def sparse(histogram: NDArray[np.int64]) -> dict[int, int]:
    """Return the counts of a histogram that are not 0, by their flat index."""
    flat = histogram.ravel()
    indices = np.flatnonzero(flat)
    return dict(zip(indices.tolist(), flat[indices].tolist(), strict=True))


def dense(counts: Mapping[int, int], quantity: Quantity) -> NDArray[np.int64]:
    """Return the histogram of a quantity from counts by their flat index.

    Raises:
        IndexError: an index is beyond the histogram.
    """
    shape = SHAPES[quantity]
    histogram = np.zeros(math.prod(shape), np.int64)
    if counts:
        histogram[list(counts)] = list(counts.values())
    return histogram.reshape(shape)
