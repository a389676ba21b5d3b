"""A part of a gallery's templates in memory: their vectors, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gallery.index.binary_codes import sketch

DEAD = -1
"""The code of a row whose template was removed."""

_LEVELS = np.iinfo(np.int16).max
_ID_BYTES = 36
"""Of a template id, which is the text of a UUID."""
_BLOCK = 1024

Vectors: TypeAlias = "NDArray[np.float32] | NDArray[np.int16]"


@dataclass(frozen=True, slots=True)
class Segment:
    """The first ``count`` rows of arrays that later values of the same segment share, and append to.

    Of the rows that are there, only dying ones change, code and id first; so a search that reads them last never takes
    a row for what it was not when the search read it.

    A segment is plain or sketched. A plain one holds float32. A sketched one holds values of 16 bits, of which each
    row has as many levels as reach its largest value: half the memory, and a cosine that is off by 2e-6 in the mean
    of faces, and by 3.5e-4 where it is worst.

    Attributes:
        vectors: shape ``(capacity, dimension)``.
        scales: shape ``(capacity,)``, by which a row is to be multiplied.
        codes: shape ``(capacity,)``, int32, which subject a row is of; :data:`DEAD` for none.
        template_ids: shape ``(capacity,)``, ASCII.
        sketches: shape ``(capacity, bytes)``, uint8; of no bytes in a plain segment.
        mean: shape ``(dimension,)``, around which the sketches are.
        count: how many rows are there.
        dead: how many of them are dead.
        sketched_at: how many rows there were when the mean was estimated.
        since: how many have come since then.
    """

    vectors: Vectors
    scales: NDArray[np.float32]
    codes: NDArray[np.int32]
    template_ids: NDArray[np.bytes_]
    sketches: NDArray[np.uint8]
    mean: NDArray[np.float32]
    count: int = 0
    dead: int = 0
    sketched_at: int = 0
    since: int = 0

    @classmethod
    def plain(cls, capacity: int, dimension: int) -> Segment:
        """An empty one that holds float32."""
        vectors = np.zeros((capacity, dimension), np.float32)
        return cls(vectors, *_columns(capacity), np.zeros((capacity, 0), np.uint8), np.zeros(dimension, np.float32))

    @classmethod
    def sketched(cls, capacity: int, mean: NDArray[np.float32], *, sketched_at: int) -> Segment:
        """An empty one with sketches around a mean of so many rows."""
        vectors = np.zeros((capacity, mean.size), np.int16)
        sketches = np.zeros((capacity, (mean.size + 7) // 8), np.uint8)
        return cls(vectors, *_columns(capacity), sketches, mean, sketched_at=sketched_at)

    @property
    def is_sketched(self) -> bool:
        """Whether there are sketches."""
        return bool(self.sketches.shape[1])

    @property
    def capacity(self) -> int:
        """For how many rows there is room."""
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """Memory of the rows that are there."""
        columns = (self.vectors, self.scales, self.codes, self.template_ids, self.sketches)
        return sum(each[: self.count].nbytes for each in columns)

    def appended(
        self, vectors: NDArray[np.float32], codes: NDArray[np.int32], template_ids: NDArray[np.bytes_]
    ) -> Segment:
        """With more rows, for which there must be room."""
        rows = slice(self.count, self.count + len(codes))
        if not self.is_sketched:
            self.vectors[rows] = vectors
            self.scales[rows] = 1.0
        else:
            largest = np.abs(vectors).max(axis=1)
            self.vectors[rows] = np.rint(vectors * (_LEVELS / largest)[:, None])
            self.scales[rows] = largest / _LEVELS
            self.sketches[rows] = sketch(vectors, self.mean)
        self.codes[rows] = codes
        self.template_ids[rows] = template_ids
        return replace(self, count=rows.stop, since=self.since + len(codes))

    def killed(self, rows: NDArray[np.intp]) -> Segment:
        """Without these rows, which live; nothing of them stays in memory."""
        # A search of an earlier value may have other codes, but sees these ids.
        self.codes[rows] = DEAD
        self.template_ids[rows] = b""
        self.vectors[rows] = 0
        self.scales[rows] = 0.0
        self.sketches[rows] = 0
        return replace(self, dead=self.dead + len(rows))

    def living(self) -> NDArray[np.intp]:
        """The rows that are not dead."""
        return np.flatnonzero(self.codes[: self.count] != DEAD)

    def rows_of(self, code: int) -> NDArray[np.intp]:
        """The rows of a subject."""
        return np.flatnonzero(self.codes[: self.count] == code)

    def values(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """The vectors of rows, as they were given or nearly so."""
        return self.vectors[rows].astype(np.float32) * self.scales[rows, None]

    def estimates(self, rows: NDArray[np.int64], probe: NDArray[np.float32]) -> NDArray[np.float32]:
        """The cosines of rows and a probe, but for rounding in float32."""
        # Not the matrix product, whose threads wait for each other where several searches meet.
        values = np.vecdot(self.vectors.take(rows, axis=0).astype(np.float32, copy=False), probe)
        estimates: NDArray[np.float32] = values * self.scales[rows]
        return estimates

    def similarities(self, rows: NDArray[np.int64], probe: NDArray[np.float32]) -> NDArray[np.float64]:
        """The cosines of rows and a probe; equal rows have equal ones, wherever they are."""
        exact = np.empty(rows.size, np.float64)
        for start in range(0, rows.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            # A product of two float32 is exact in float64, and each row is summed by itself in one order.
            exact[block] = (self.vectors[rows[block]].astype(np.float64) * probe).sum(axis=1)
        return exact * self.scales[rows]

    def around(self, mean: NDArray[np.float32]) -> Segment:
        """With sketches around another mean, made from the rows that are there now."""
        sketches = np.zeros((self.capacity, (mean.size + 7) // 8), np.uint8)
        fresh = replace(self, sketches=sketches, mean=mean, sketched_at=self.count, since=0)
        fresh._sketch(0, self.count)
        return fresh

    def sketched_as(self, earlier: Segment) -> Segment:
        """With the sketches and the mean that an earlier value of this segment was given meanwhile."""
        fresh = replace(
            self,
            sketches=earlier.sketches,
            mean=earlier.mean,
            sketched_at=earlier.sketched_at,
            since=self.count - earlier.count,
        )
        fresh._sketch(earlier.count, self.count)
        fresh.sketches[: self.count][self.codes[: self.count] == DEAD] = 0
        return fresh

    def emptied(self, capacity: int) -> Segment:
        """An empty one of the same kind."""
        if self.is_sketched:
            return Segment.sketched(capacity, self.mean, sketched_at=self.sketched_at)
        return Segment.plain(capacity, self.mean.size)

    def moved(self, target: Segment) -> Segment:
        """The living rows, in an empty segment that has room for them."""
        living = self.living()
        came = self.since
        for start in range(0, living.size, _BLOCK):
            rows = living[start : start + _BLOCK]
            target = target.appended(self.values(rows), self.codes[rows], self.template_ids[rows])
        return replace(target, since=came if self.is_sketched else 0)

    def recoded(self, new_codes: NDArray[np.int32]) -> Segment:
        """With another code for every old one."""
        return replace(self, codes=np.append(new_codes, np.int32(DEAD))[self.codes])

    def estimated_mean(self, most: int) -> NDArray[np.float32]:
        """The mean of the living rows, or of so many of them, evenly spread."""
        rows = self.living()
        rows = rows[:: max(1, rows.size // most)]
        total, count = np.zeros(self.vectors.shape[1], np.float64), 0
        for start in range(0, rows.size, _BLOCK):
            block = rows[start : start + _BLOCK]
            values = self.values(block)
            # Read last: rows may die meanwhile.
            living = self.codes[block] != DEAD
            total += values[living].sum(axis=0, dtype=np.float64)
            count += int(living.sum())
        mean: NDArray[np.float32] = (total / max(1, count)).astype(np.float32)
        return mean

    def _sketch(self, start: int, stop: int) -> None:
        for first in range(start, stop, _BLOCK):
            rows = slice(first, min(first + _BLOCK, stop))
            self.sketches[rows] = sketch(self.values(rows), self.mean)


def ids_array(template_ids: Sequence[str]) -> NDArray[np.bytes_]:
    """Template ids as a segment keeps them.

    Raises:
        ValueError: one is not ASCII, or longer than the text of a UUID.
    """
    ids = np.array(template_ids, f"S{_ID_BYTES + 1}")
    if len(ids) and np.char.str_len(ids).max() > _ID_BYTES:
        raise ValueError(f"a template id has at most {_ID_BYTES} characters")
    return ids.astype(f"S{_ID_BYTES}")


def _columns(capacity: int) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.bytes_]]:
    return np.zeros(capacity, np.float32), np.full(capacity, DEAD, np.int32), np.zeros(capacity, f"S{_ID_BYTES}")
