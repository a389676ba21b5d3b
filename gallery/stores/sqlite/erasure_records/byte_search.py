"""Finds many byte strings in files, in one pass that costs the same for one and for thousands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

MIN_BYTES = 15
"""The least length of a value: wherever it begins, 8 of its bytes lie at a multiple of 8."""
_CHUNK_BYTES = 1 << 20
_WORD = 8
_FILTER_BITS = 20
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Spreads words over the filter: 2 to the 64 divided by the golden ratio."""


class ByteSearch:
    """Searches for values, each of at least :data:`MIN_BYTES` bytes.

    Each value lies in a file with one of its first eight 8-byte words at a multiple of 8. So only these words of a file
    are looked up, first in a small table of bits.

    Args:
        values: what to search for.
    """

    def __init__(self, values: Sequence[bytes | bytearray]) -> None:
        self._values = values
        self._longest = max(map(len, values), default=0)
        self._anchors: dict[int, list[tuple[int, int]]] = {}
        for number, value in enumerate(values):
            for shift in range(_WORD):
                word = int.from_bytes(value[shift : shift + _WORD], "little")
                self._anchors.setdefault(word, []).append((number, shift))
        self._filter = np.zeros(1 << _FILTER_BITS, np.bool_)
        self._filter[_slots(np.array(list(self._anchors), np.uint64))] = True

    def in_file(self, descriptor: int, *, most_bytes: int) -> tuple[set[int], int, int]:
        """Search an open file; of a larger one than ``most_bytes``, evenly spaced parts.

        Returns:
            The numbers of the values that are there, the number of bytes that were searched, and of those in the file.
            The two are the same if all of it was searched, also if it grew or shrank meanwhile.

        Raises:
            OSError: the file cannot be read.
        """
        found: set[int] = set()
        searched = 0
        size = os.fstat(descriptor).st_size
        starts = list(_starts(size, most_bytes))
        for start in starts:
            # The parts overlap, so that no value is missed between two of them.
            part = os.pread(descriptor, _CHUNK_BYTES + self._longest, start)
            searched += min(len(part), _CHUNK_BYTES)
            found |= self.in_bytes(part)
        is_whole = len(starts) * _CHUNK_BYTES >= size
        return found, searched, searched if is_whole else size

    def in_bytes(self, data: bytes) -> set[int]:
        """Return the numbers of the values that are in these bytes."""
        words = np.frombuffer(data, "<u8", count=len(data) // _WORD)
        found: set[int] = set()
        for position in np.flatnonzero(self._filter[_slots(words)]).tolist():
            for number, shift in self._anchors.get(int(words[position]), ()):
                value, begin = self._values[number], position * _WORD - shift
                if begin >= 0 and data[begin : begin + len(value)] == value:
                    found.add(number)
        return found


def is_searchable(value: bytes) -> bool:
    """Tell whether a value is long enough and says enough: zeros and repetitions are everywhere in a file."""
    return len(value) >= MIN_BYTES and all(len(set(value[at : at + _WORD])) > 2 for at in range(_WORD))


def _slots(words: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return (words * _FACTOR) >> np.uint64(64 - _FILTER_BITS)


def _starts(size: int, most_bytes: int) -> Iterator[int]:
    chunks = -(-size // _CHUNK_BYTES)
    wanted = min(chunks, max(1, most_bytes // _CHUNK_BYTES))
    for number in range(wanted):
        yield number * chunks // wanted * _CHUNK_BYTES
