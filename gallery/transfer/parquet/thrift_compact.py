"""Thrift's compact protocol, the format of Parquet's footers and page headers.

The protocol is described by thrift-compact-protocol.md in apache/thrift. Maps, sets and UUIDs are not read: Parquet has
none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

INTEGER_32, INTEGER_64, TEXT, LIST, STRUCT = 5, 6, 8, 9, 12
"""Types."""
_MAX_DEPTH = 16

Path = tuple[int, ...]
"""A field's number, after those of the fields that contain it."""
Fields = dict[tuple[int, int], Any]
"""The fields of a struct by number and type: a field with an unexpected type is not found."""


class CompactReader:
    """Reads values one after another. All methods raise ``ValueError`` or ``IndexError`` if the data is invalid.

    It is strict where other readers may differ: a field that occurs twice, a number with too many bits, and a list
    with unexpected items are invalid.

    Args:
        data: the data.
        position: where the first value begins.
        lists: the item types of the known lists.

    Attributes:
        position: where the next value begins.
    """

    def __init__(self, data: bytes, position: int = 0, *, lists: Mapping[Path, int] | None = None) -> None:
        self._data = data
        self._lists = lists or {}
        self.position = position

    def fields(self) -> Iterator[tuple[int, int]]:
        """Read the numbers and types of a struct's fields; the caller reads each value before the next field."""
        seen: set[int] = set()
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            if number in seen or not 0 < number < 1 << 15:
                raise ValueError
            seen.add(number)
            yield number, head & 15

    def struct(self, path: Path = ()) -> Fields:
        """Read a struct; doubles and texts become ``None``."""
        if len(path) > _MAX_DEPTH:
            raise ValueError
        return {(number, kind): self.value(kind, (*path, number)) for number, kind in self.fields()}

    def value(self, kind: int, path: Path) -> Any:
        """Read the value of a field of a type."""
        if kind in (1, 2):  # true, false
            return kind == 1
        if kind == 3:  # byte
            return self._byte()
        if kind in (4, INTEGER_32, INTEGER_64):
            return self._integer()
        if kind == 7:  # double
            return self._skip(8)
        if kind == TEXT:
            return self._skip(self._unsigned())
        if kind == LIST:
            return list(self.items(path))
        if kind == STRUCT:
            return self.struct(path)
        raise ValueError

    def items(self, path: Path) -> Iterator[Any]:
        """Read the items of a list, one after another."""
        head = self._byte()
        length, kind = (self._unsigned() if head >> 4 == 15 else head >> 4), head & 15
        if self._lists.get(path, kind) != kind or kind == LIST:
            raise ValueError
        for _ in range(length):
            # In a list, a boolean is a byte; elsewhere it is part of the type.
            yield self._byte() == 1 if kind in (1, 2) else self.value(kind, path)

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
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
        self.position += length
        if self.position > len(self._data):
            raise IndexError
