"""A reference period: the distribution of each quantity, and how much it varies from hour to hour by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.observations.quantities import BINS, Quantity
from gallery.observations.records import Counts
from gallery.records.identifications import Decision

BLOCK = 250
"""Hours with fewer counts of a quantity than this are joined with the following ones."""
DECISION = "decision"
"""The name of the decisions among the names of quantities."""
NAMES: tuple[str, ...] = (
    DECISION,
    *(each.value for each in BINS if each is not Quantity.BEST_OF_MATCHES),
)
"""What is compared: the names of quantities, and :data:`DECISION`."""

_MIN_SHARE = 0.02
"""Where the distribution function is nearer to 0 or 1 than this, its relative variance is not measured."""


@dataclass(frozen=True, slots=True)
class Usual:
    """How a quantity is distributed in the reference period.

    Attributes:
        shares: of the bins, shape ``(bins,)``; the sum is 1.
        count: how often it was counted.
        correlation: of two counts of one block, [0, 1]: hours differ, and one person gives several faces.
        size: mean number of counts in a block.
        largest: the largest distance of a block from all of them, [0, 1].
        blocks: the number of blocks that ``correlation`` and ``largest`` come from: hours, or several of them that have
            :data:`BLOCK` counts together.
    """

    shares: NDArray[np.float64]
    count: int
    correlation: float
    size: float
    largest: float
    blocks: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference period.

    Attributes:
        faces: the number of faces in it.
        usual: its quantities by name, without those that were never counted.
    """

    faces: int
    usual: Mapping[str, Usual]


def reference(hours: Iterable[Counts]) -> Reference:
    """Describe a reference period.

    Args:
        hours: counts of its hours, in their order. Whole days would hide how much hours differ, so that nights would
            raise alarms.
    """
    hours = tuple(hours)
    found = {name: _usual(np.array([histogram(each, name) for each in hours])) for name in NAMES if hours}
    return Reference(sum(each.faces for each in hours), {name: each for name, each in found.items() if each.count})


def histogram(counts: Counts, name: str) -> NDArray[np.int64]:
    """Return the counts of one of :data:`NAMES`."""
    if name == DECISION:
        return np.array([counts.decisions[each] for each in Decision], np.int64)
    return counts.histograms[Quantity(name)]


def distance(shares: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest difference of two distribution functions, along the last axis."""
    return np.asarray(np.abs(np.cumsum(shares - other, axis=-1)).max(axis=-1), np.float64)


def _usual(blocks: NDArray[np.int64]) -> Usual:
    total = blocks.sum(0)
    count = int(total.sum())
    shares = total / max(count, 1)
    blocks = _joined(blocks)
    sizes = blocks.sum(1).astype(np.float64)
    if len(blocks) < 2:
        return Usual(shares, count, 1.0, float(count), 1.0, len(blocks))
    own = blocks / sizes[:, None]
    correlation, largest = _correlation(own, sizes, shares, count), float(distance(own, shares).max())
    return Usual(shares, count, correlation, float(sizes.mean()), largest, len(blocks))


def _joined(hours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join neighbouring hours until each has enough counts. The last ones may be left out."""
    joined, open_block = [], np.zeros(hours.shape[1], np.int64)
    for hour in hours:
        open_block = open_block + hour
        if open_block.sum() >= BLOCK:
            joined.append(open_block)
            open_block = np.zeros_like(open_block)
    return np.array(joined, np.int64).reshape(len(joined), hours.shape[1])


def _correlation(
    own: NDArray[np.float64], sizes: NDArray[np.float64], shares: NDArray[np.float64], count: int
) -> float:
    """The intraclass correlation by the design effect of the blocks (Kish 1965), where it is largest.

    A block is part of the whole that it is compared with, which its variance allows for.
    """
    whole = np.cumsum(shares)
    inner = (whole > _MIN_SHARE) & (whole < 1 - _MIN_SHARE)
    if not inner.any():
        return 0.0
    expected = whole[inner] * (1 - whole[inner])
    squares = (np.cumsum(own, axis=1)[:, inner] - whole[inner]) ** 2 / expected
    effects = (squares * (sizes / (1 - sizes / count).clip(1e-9))[:, None]).mean(0)
    return float(np.clip((effects.max() - 1) / max(sizes.mean() - 1, 1.0), 0.0, 1.0))
