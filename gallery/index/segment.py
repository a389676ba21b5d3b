"""A part of a gallery's templates in memory: their vectors and their subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gallery.index.binary_codes import encode
from gallery.index.files.segment_file import Rows, SegmentFile

DEAD = -1
"""The subject number of a row whose template was removed."""

_LEVELS = np.iinfo(np.int16).max
_ID_BYTES = 36
"""Length of a template id, the text of a UUID."""
_FEW = 4
"""So many subjects are looked for one by one."""
_BLOCK = 1024

Vectors: TypeAlias = "NDArray[np.float32] | NDArray[np.int16]"


@dataclass(frozen=True, slots=True)
class Segment:
    """The first ``count`` rows of arrays that later values of the same segment share and append to.

    Existing rows change only when they die, subject number and id first. A search that reads those two last therefore
    never takes a row for a template that it was not when the search read the vector.

    A segment is exact or coded. An exact one holds float32 vectors. A coded one holds 16-bit vectors, each scaled to
    its largest value, and binary codes: half the memory, with a cosine error of 2e-6 on average and 3.5e-4 at worst
    for faces.

    The vectors, scales and codes of a coded segment may be those of a file, which other processes have, too. When one
    of them removes a template it erases the row of the file, so a living row may be zero here: its template is gone,
    and this process is about to hear of that. Such a segment is full.

    Attributes:
        vectors: shape ``(capacity, dimension)``.
        scales: shape ``(capacity,)``, the factor of every row.
        subjects: shape ``(capacity,)``, int32, the subject number of every row; :data:`DEAD` for none.
        template_ids: shape ``(capacity,)``, ASCII.
        codes: shape ``(capacity, bytes)``, uint8, the binary codes; zero bytes wide in an exact segment.
        mean: shape ``(dimension,)``, the mean that the binary codes are computed around.
        count: the number of rows.
        dead: the number of dead rows among them.
        mean_rows: the number of rows when the mean was estimated.
        added_since: the number of rows added since then.
        file: the file that has the rows; ``None`` if only this process has them.
    """

    vectors: Vectors
    scales: NDArray[np.float32]
    subjects: NDArray[np.int32]
    template_ids: NDArray[np.bytes_]
    codes: NDArray[np.uint8]
    mean: NDArray[np.float32]
    count: int = 0
    dead: int = 0
    mean_rows: int = 0
    added_since: int = 0
    file: SegmentFile | None = None

    @classmethod
    def exact(cls, capacity: int, dimension: int) -> Segment:
        """Make an empty segment that holds float32 vectors."""
        vectors = np.zeros((capacity, dimension), np.float32)
        return cls(
            vectors, *_empty_columns(capacity), np.zeros((capacity, 0), np.uint8), np.zeros(dimension, np.float32)
        )

    @classmethod
    def coded(cls, capacity: int, mean: NDArray[np.float32], *, mean_rows: int) -> Segment:
        """Make an empty segment with binary codes around a mean of ``mean_rows`` rows."""
        vectors = np.zeros((capacity, mean.size), np.int16)
        codes = np.zeros((capacity, (mean.size + 7) // 8), np.uint8)
        return cls(vectors, *_empty_columns(capacity), codes, mean, mean_rows=mean_rows)

    @classmethod
    def of_file(cls, file: SegmentFile, subjects: NDArray[np.int32]) -> Segment:
        """Make a segment of the rows of a file, with their subject numbers, shape ``(n,)``."""
        rows, count = file.rows, len(file.rows)
        # Other processes erase ids before this one hears of it, and must find the template to count it as removed.
        template_ids = np.where(subjects != DEAD, rows.template_ids, b"")
        dead = int((subjects == DEAD).sum())
        return cls(
            rows.vectors, rows.scales, subjects, template_ids, rows.codes, file.mean, count, dead, count, file=file
        )

    @property
    def is_coded(self) -> bool:
        """Whether the segment has binary codes."""
        return bool(self.codes.shape[1])

    @property
    def capacity(self) -> int:
        """The number of rows that fit."""
        return len(self.subjects)

    @property
    def nbytes(self) -> int:
        """Memory of the rows in use."""
        return sum(each[: self.count].nbytes for each in self._columns)

    @property
    def rows(self) -> Rows:
        """What a file keeps of a coded segment."""
        count = self.count
        return Rows(self.template_ids[:count], self.scales[:count], self.codes[:count], self.vectors[:count])

    def appended(
        self, vectors: NDArray[np.float32], subjects: NDArray[np.int32], template_ids: NDArray[np.bytes_]
    ) -> Segment:
        """Append rows, which must fit."""
        rows = slice(self.count, self.count + len(subjects))
        if not self.is_coded:
            self.vectors[rows] = vectors
            self.scales[rows] = 1.0
        else:
            largest = np.abs(vectors).max(axis=1)
            self.vectors[rows] = np.rint(vectors * (_LEVELS / largest)[:, None])
            self.scales[rows] = largest / _LEVELS
            self.codes[rows] = encode(vectors, self.mean)
        self.subjects[rows] = subjects
        self.template_ids[rows] = template_ids
        return replace(self, count=rows.stop, added_since=self.added_since + len(subjects))

    def killed(self, rows: NDArray[np.intp]) -> Segment:
        """Remove living rows; nothing of them stays in memory."""
        # A search of an earlier value may have another array of subjects, but shares these ids.
        self.subjects[rows] = DEAD
        self.template_ids[rows] = b""
        if self.file is not None:
            self.file.erase(rows)
        else:
            self.scales[rows] = 0.0
            self.vectors[rows] = 0
            self.codes[rows] = 0
        return replace(self, dead=self.dead + len(rows))

    def living(self) -> NDArray[np.intp]:
        """Return the rows that are not dead."""
        return np.flatnonzero(self.subjects[: self.count] != DEAD)

    def emptied_subjects(self) -> NDArray[np.int32]:
        """Return the subject numbers of living rows that another process has erased."""
        numbers = self.subjects[: self.count]
        return np.unique(numbers[(self.scales[: self.count] == 0) & (numbers != DEAD)])

    def rows_of(self, subject: int) -> NDArray[np.intp]:
        """Return the rows of a subject number."""
        return np.flatnonzero(self.subjects[: self.count] == subject)

    def rows_of_all(self, subjects: Sequence[int], most: int) -> NDArray[np.intp]:
        """Return the rows of some of the subject numbers below ``most``; costs nothing for none, and little for few."""
        numbers = self.subjects[: self.count]
        if len(subjects) <= _FEW:
            found = [np.flatnonzero(numbers == subject) for subject in subjects]
            return np.sort(np.concatenate(found)) if found else np.empty(0, np.intp)
        # One entry more, for dead rows: their number is -1.
        is_wanted = np.zeros(most + 1, np.bool_)
        is_wanted[list(subjects)] = True
        return np.flatnonzero(is_wanted[numbers])

    def values(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return the vectors of rows, as they were added or nearly so."""
        return self.vectors[rows].astype(np.float32) * self.scales[rows, None]

    def estimates(self, rows: NDArray[np.int64], probe: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosines of rows and a probe, with float32 rounding."""
        # Not the matrix product: its threads wait for each other when several searches run.
        values = np.vecdot(self.vectors.take(rows, axis=0).astype(np.float32, copy=False), probe)
        estimates: NDArray[np.float32] = values * self.scales[rows]
        return estimates

    def similarities(self, rows: NDArray[np.int64], probe: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the cosines of rows and a probe; equal rows have equal cosines wherever they are stored."""
        exact = np.empty(rows.size, np.float64)
        for start in range(0, rows.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            # A product of two float32 is exact in float64, and every row is summed on its own in the same order.
            exact[block] = (self.vectors[rows[block]].astype(np.float64) * probe).sum(axis=1)
        return exact * self.scales[rows]

    def recoded(self, mean: NDArray[np.float32]) -> Segment:
        """Compute the binary codes of the present rows around another mean."""
        codes = np.zeros((self.capacity, (mean.size + 7) // 8), np.uint8)
        fresh = replace(self, codes=codes, mean=mean, mean_rows=self.count, added_since=0)
        fresh._encode_rows(0, self.count)
        return fresh

    def with_codes_of(self, earlier: Segment) -> Segment:
        """Take over the codes and the mean that an earlier value of this segment got in the meantime."""
        fresh = replace(
            self,
            codes=earlier.codes,
            mean=earlier.mean,
            mean_rows=earlier.mean_rows,
            added_since=self.count - earlier.count,
        )
        fresh._encode_rows(earlier.count, self.count)
        fresh.codes[: self.count][self.subjects[: self.count] == DEAD] = 0
        return fresh

    def emptied(self, capacity: int) -> Segment:
        """Make an empty segment of the same kind."""
        if self.is_coded:
            return Segment.coded(capacity, self.mean, mean_rows=self.mean_rows)
        return Segment.exact(capacity, self.mean.size)

    def moved(self, target: Segment, *, first: int = 0) -> Segment:
        """Copy the living rows, from the row ``first`` on, to an empty segment that has room for them.

        Coded ones stay as they are: the target has the same mean.
        """
        living = self.living()
        living = living[living >= first]
        if not self.is_coded:
            for start in range(0, living.size, _BLOCK):
                rows = living[start : start + _BLOCK]
                target = target.appended(self.values(rows), self.subjects[rows], self.template_ids[rows])
            return replace(target, added_since=0)
        for own, theirs in zip(self._columns, target._columns, strict=True):
            for start in range(0, living.size, _BLOCK):
                rows = living[start : start + _BLOCK]
                theirs[start : start + rows.size] = own[rows]
        return replace(target, count=living.size, added_since=self.added_since)

    def kept_in(self, file: SegmentFile) -> Segment:
        """Take over the rows of a file that an earlier value of this segment was written to, and erase dead ones."""
        count = len(file.rows)
        subjects = self.subjects[:count]
        dead = np.flatnonzero(subjects == DEAD)
        file.erase(dead)
        rows = file.rows
        return Segment(
            *(rows.vectors, rows.scales, subjects, self.template_ids[:count], rows.codes, file.mean),
            count=count,
            dead=dead.size,
            mean_rows=count,
            file=file,
        )

    def renumbered(self, new_numbers: NDArray[np.int32]) -> Segment:
        """Replace every subject number by its new one."""
        return replace(self, subjects=np.append(new_numbers, np.int32(DEAD))[self.subjects])

    def estimated_mean(self, most: int) -> NDArray[np.float32]:
        """Return the mean of the living rows, or of at most ``most`` of them, evenly spaced."""
        rows = self.living()
        rows = rows[:: max(1, rows.size // most)]
        total, count = np.zeros(self.vectors.shape[1], np.float64), 0
        for start in range(0, rows.size, _BLOCK):
            block = rows[start : start + _BLOCK]
            values = self.values(block)
            # Read last: rows may die in the meantime.
            living = self.subjects[block] != DEAD
            total += values[living].sum(axis=0, dtype=np.float64)
            count += int(living.sum())
        mean: NDArray[np.float32] = (total / max(1, count)).astype(np.float32)
        return mean

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.vectors, self.scales, self.subjects, self.template_ids, self.codes

    def _encode_rows(self, start: int, stop: int) -> None:
        for first in range(start, stop, _BLOCK):
            rows = slice(first, min(first + _BLOCK, stop))
            self.codes[rows] = encode(self.values(rows), self.mean)


def ids_array(template_ids: Sequence[str]) -> NDArray[np.bytes_]:
    """Convert template ids to the array that a segment keeps.

    Raises:
        ValueError: one is not ASCII, or longer than a UUID.
    """
    ids = np.array(template_ids, f"S{_ID_BYTES + 1}")
    if len(ids) and np.char.str_len(ids).max() > _ID_BYTES:
        raise ValueError(f"a template id has at most {_ID_BYTES} characters")
    return ids.astype(f"S{_ID_BYTES}")


def _empty_columns(capacity: int) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.bytes_]]:
    return np.zeros(capacity, np.float32), np.full(capacity, DEAD, np.int32), np.zeros(capacity, f"S{_ID_BYTES}")
