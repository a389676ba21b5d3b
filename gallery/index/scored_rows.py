"""Rows of several segments by position, and the scores of rows that were compared with a probe.

The position of a row is one integer: the number of its segment times 2**32, plus its row in that segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.index.segment import Segment

_SEGMENT_STRIDE = 1 << 32


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Templates that were compared with a probe; none of them is dead.

    Attributes:
        positions: shape ``(n,)``, rising.
        subjects: shape ``(n,)``, their subject numbers.
        scores: shape ``(n,)``, float32, the cosines with float32 rounding.
    """

    positions: NDArray[np.int64]
    subjects: NDArray[np.int32]
    scores: NDArray[np.float32]


def first_position(segment_number: int) -> int:
    """Return the position of a segment's first row."""
    return segment_number * _SEGMENT_STRIDE


def by_segment(positions: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Split rising positions into segment numbers and the rows in each segment."""
    start = 0
    while start < len(positions):
        number = int(positions[start]) // _SEGMENT_STRIDE
        stop = int(np.searchsorted(positions, first_position(number + 1)))
        yield number, positions[start:stop] - first_position(number)
        start = stop


def all_positions(segments: Sequence[Segment]) -> NDArray[np.int64]:
    """Return the positions of all rows, dead ones included."""
    return np.concatenate([np.arange(each.count) + first_position(number) for number, each in enumerate(segments)])


def joined(parts: Sequence[ScoredRows]) -> ScoredRows:
    """Concatenate scored rows."""
    if not parts:
        return ScoredRows(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    if len(parts) == 1:
        return parts[0]
    return ScoredRows(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.subjects for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
