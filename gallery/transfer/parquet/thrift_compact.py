"""Structs of Thrift's compact protocol, in which Parquet's footers and headers of pages are written.

The protocol is thrift-compact-protocol.md of apache/thrift. Of its types maps, sets and UUIDs are not read: Parquet has
none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

INTEGER_32, INTEGER_64, TEXT, LIST, STRUCT = 5, 6, 8, 9, 12
"""Types."""
_MAX_DEPTH = 16

Path = tuple[int, ...]
"""Where a field is: its number, after those of the fields that it is in."""
Fields = dict[tuple[int, int], Any]
"""The fields of a struct by their numbers and types: one of another type than it should be is not there for others."""


class Compact:
    """Reads values one after the other. All methods raise ``ValueError`` or ``IndexError`` where there are others.

    It is strict where others may read something else: a field that is there twice, a number of more bits than it has,
    a list of other items than it should have.

    Args:
        data: what is read.
        place: where the first value begins.
        lists: the types of the items of the lists that are known.

    Attributes:
        place: where the next one begins.
    """

    def __init__(self, data: bytes, place: int = 0, *, lists: Mapping[Path, int] | None = None) -> None:
        self._data = data
        self._lists = lists or {}
        self.place = place

    def fields(self) -> Iterator[tuple[int, int]]:
        """The numbers and types of a struct's fields; whoever asks reads each value before the next field."""
        seen: set[int] = set()
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            if number in seen or not 0 < number < 1 << 15:
                raise ValueError
            seen.add(number)
            yield number, head & 15

    def struct(self, path: Path = ()) -> Fields:
        """A struct; doubles and texts are ``None``."""
        if len(path) > _MAX_DEPTH:
            raise ValueError
        return {(number, kind): self.value(kind, (*path, number)) for number, kind in self.fields()}

    def value(self, kind: int, path: Path) -> Any:
        """A field's value of a type."""
        if kind in (1, 2):  # true, false
            return kind == 1
        if kind == 3:  # a byte
            return self._byte()
        if kind in (4, INTEGER_32, INTEGER_64):
            return self._integer()
        if kind == 7:  # a double
            return self._skip(8)
        if kind == TEXT:
            return self._skip(self._unsigned())
        if kind == LIST:
            return list(self.items(path))
        if kind == STRUCT:
            return self.struct(path)
        raise ValueError

    def items(self, path: Path) -> Iterator[Any]:
        """The items of a list, one after the other."""
        head = self._byte()
        length, kind = (self._unsigned() if head >> 4 == 15 else head >> 4), head & 15
        if self._lists.get(path, kind) != kind or kind == LIST:
            raise ValueError
        for _ in range(length):
            # A truth value is a byte here, and a part of its type elsewhere.
            yield self._byte() == 1 if kind in (1, 2) else self.value(kind, path)

    def _byte(self) -> int:
        byte = self._data[self.place]
        self.place += 1
        return byte

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError
        value |= byte << shift
        if value >> 64:
            raise ValueError
        return value

    def _integer(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def _skip(self, length: int) -> None:
        self.place += length
        if self.place > len(self._data):
            raise IndexError
