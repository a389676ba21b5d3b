"""A reference period: the distribution of each quantity, and how much it varies from hour to hour by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.observations.quantities import BINS, Quantity
from gallery.observations.records import Counts, total
from gallery.records.identifications import Decision

BLOCK = 250
"""Hours with fewer faces than this are joined with the following ones."""
DECISION = "decision"
"""The name of the decisions among the names of quantities."""
NAMES: tuple[str, ...] = (
    DECISION,
    *(each.value for each in BINS if each is not Quantity.BEST_OF_MATCHES),
)
"""What is compared: the names of quantities, and :data:`DECISION`."""

MIN_COUNTS = 10
"""Blocks with fewer counts of a quantity than this say nothing about it."""
_ODD_BLOCKS = 40
"""One in so many blocks may be odd, such as an hour in which somebody cleaned the lens: it sets no limit."""
_MARGIN = 2.0
"""Blocks that were not seen differ more than those that were: by a share of this divided by their number."""

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
        largest: the largest distance of a block from all of them, without those that are odd, [0, 1]. With few blocks
            it is larger than what was seen.
        blocks: the number of blocks that ``correlation`` comes from: hours, or several of them that have :data:`BLOCK`
            faces together.
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
        match_shares: the share of matches among the searches of each bin of the best similarity, ``(bins,)``: how
            the gallery decided.
    """

    faces: int
    usual: Mapping[str, Usual]
    match_shares: NDArray[np.float64]


def reference(hours: Iterable[Counts]) -> Reference:
    """Describe a reference period.

    Args:
        hours: counts of its hours, in their order. Whole days would hide how much hours differ, so that nights would
            raise alarms.
    """
    hours = tuple(hours)
    faces = np.array([each.faces for each in hours], np.int64)
    match_shares = _match_shares(total(hours))
    found = {
        name: _usual(np.array([histogram(each, name, match_shares) for each in hours]), faces)
        for name in NAMES
        if hours
    }
    return Reference(int(faces.sum()), {name: each for name, each in found.items() if each.count}, match_shares)


def histogram(counts: Counts, name: str, match_shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the counts of one of :data:`NAMES`.

    Args:
        counts: the counts.
        name: of the quantity.
        match_shares: of the reference period. Faces are decided as it decided: with another threshold the same faces
            get other decisions, which is no change of the faces.
    """
    if name != DECISION:
        return counts.histograms[Quantity(name)].astype(np.float64)
    matches = float(counts.histograms[Quantity.BEST_SIMILARITY] @ match_shares)
    by_decision = {Decision.MATCH: matches, Decision.UNKNOWN: counts.searches - matches}
    return np.array([by_decision.get(each, counts.decisions[each]) for each in Decision], np.float64)


def distance(shares: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest difference of two distribution functions, along the last axis."""
    return np.asarray(np.abs(np.cumsum(shares - other, axis=-1)).max(axis=-1), np.float64)


def _match_shares(counts: Counts) -> NDArray[np.float64]:
    """The share of matches by the best similarity; bins without a search are as their neighbours."""
    searches = counts.histograms[Quantity.BEST_SIMILARITY]
    seen = np.flatnonzero(searches)
    if not len(seen):
        return np.zeros(len(searches))
    shares = counts.histograms[Quantity.BEST_OF_MATCHES][seen] / searches[seen]
    return np.asarray(np.interp(np.arange(len(searches)), seen, shares), np.float64)


def _usual(hours: NDArray[np.float64], faces: NDArray[np.int64]) -> Usual:
    counts = hours.sum(0)
    count = round(float(counts.sum()))
    shares = counts / max(count, 1)
    blocks = _blocks(hours, faces)
    if len(blocks) < 2:
        return Usual(shares, count, 1.0, float(count), 1.0, len(blocks))
    sizes = blocks.sum(1)
    own = blocks / sizes[:, None]
    correlation = _correlation(own, sizes, shares, count)
    largest = min(1.0, _largest(hours, faces, shares, len(blocks)) * (1 + _MARGIN / len(blocks)))
    return Usual(shares, count, correlation, float(sizes.mean()), largest, len(blocks))


def _largest(hours: NDArray[np.float64], faces: NDArray[np.int64], shares: NDArray[np.float64], blocks: int) -> float:
    """The largest distance of neighbouring hours, wherever they begin, without those that are odd."""
    spans, sums = _joined(hours, faces)
    distances = distance(sums / sums.sum(1)[:, None], shares)
    for _ in range((blocks + _ODD_BLOCKS // 2) // _ODD_BLOCKS):
        first, last = spans[distances.argmax()]
        distances[(spans[:, 0] < last) & (spans[:, 1] > first)] = 0.0
    return float(distances.max())


def _blocks(hours: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Join hours so that each is in one block at most: shape ``(blocks, bins)``."""
    spans, sums = _joined(hours, faces)
    apart, free = [], 0
    for place, (first, last) in enumerate(spans.tolist()):
        if first >= free:
            apart.append(place)
            free = last
    return sums[apart]


def _joined(hours: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Join each hour with the following ones until they have enough faces; the last hours may not have.

    Returns:
        The first hour and that after the last, shape ``(n, 2)``, and the sums, shape ``(n, bins)``; those with too few
        counts are left out.
    """
    until = np.concatenate(([0], np.cumsum(faces)))
    sums = np.concatenate((np.zeros((1, hours.shape[1])), np.cumsum(hours, axis=0)))
    first = np.arange(len(hours))
    last = np.searchsorted(until, until[:-1] + BLOCK)
    spans = np.stack((first, last), axis=1)[last < len(until)]
    joined = sums[spans[:, 1]] - sums[spans[:, 0]]
    enough = joined.sum(1) >= MIN_COUNTS
    return spans[enough], joined[enough]


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
