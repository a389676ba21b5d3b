"""How large the row groups of a Parquet file become, told from their pages before any of them is decoded.

Nobody has to keep to what a file says of its row groups as a whole; what the header of a page says decides what a
reader allocates. Both are described by parquet.thrift of apache/parquet-format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gallery.errors import InvalidImport
from gallery.transfer.thrift_compact import INTEGER_32, INTEGER_64, LIST, STRUCT, TEXT, Compact, Fields, Path

_MAX_HEADER_BYTES = 1 << 15
_TAIL_BYTES = 8

# Fields of the file, of a row group, of a column in it, and of what is said of that column's data.
_GROUPS = 4
_COLUMNS, _LINES = (1, LIST), (3, INTEGER_64)
_DATA = (3, STRUCT)
_VALUES, _COMPRESSED_SIZE, _DATA_PAGE, _DICTIONARY_PAGE = ((number, INTEGER_64) for number in (5, 7, 9, 11))
_LISTS: dict[Path, int] = {
    **dict.fromkeys(((2,), (_GROUPS,), (5,), (7,), (4, 1), (4, 4), (4, 1, 3, 8), (4, 1, 3, 13)), STRUCT),
    **dict.fromkeys(((4, 1, 3, 2), (4, 1, 3, 17, 2)), INTEGER_32),
    **dict.fromkeys(((4, 1, 3, 16, 2), (4, 1, 3, 16, 3)), INTEGER_64),
    (4, 1, 3, 3): TEXT,
}
"""All lists in a footer, and what they are of."""

# Of the header of a page: its kind, its sizes, and for each kind where it has the encoding of its values.
_KIND, _UNCOMPRESSED, _COMPRESSED, _VALUES_OF_PAGE = ((number, INTEGER_32) for number in (1, 2, 3, 1))
_DICTIONARY_KIND = 2
_ENCODINGS_AT = {
    0: ((5, STRUCT), (2, INTEGER_32)),
    _DICTIONARY_KIND: ((7, STRUCT), (2, INTEGER_32)),
    3: ((8, STRUCT), (4, INTEGER_32)),
}
_ENCODINGS = (0, 2, 8)
"""Plain, and two names of one with a dictionary: no value is longer than the page or the dictionary that it is in."""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group as its pages are.

    Attributes:
        lines: how many it has.
        size: bytes of its pages, decompressed; a value of a dictionary counts once, however often it is used.
    """

    lines: int
    size: int


def row_groups(file: BinaryIO, *, values: list[int]) -> Iterator[RowGroup]:
    """The row groups of a file, each looked at when it is asked for.

    The footer is read here, since what Arrow offers for it ends the process where a column is described badly.

    Args:
        file: can be read and sought in; its footer is where it says.
        values: of every column, at most how many values it has a line.

    Raises:
        InvalidImport: pages are not where the file says, not of so many values, or encoded in another way than plainly
            or with a dictionary.
    """
    try:
        for group in _described(file):
            lines, columns = group[_LINES], [column[_DATA] for column in group[_COLUMNS]]
            if len(columns) != len(values) or lines < 0:
                raise _invalid()
            most = [lines * each for each in values]
            # Without lines there need not be pages either.
            size = sum(_size(file, *column) for column in zip(columns, most, strict=True)) if lines else 0
            yield RowGroup(lines, size)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise _invalid() from error


def _described(file: BinaryIO) -> Iterator[Fields]:
    """What a file says of its row groups."""
    end = file.seek(-_TAIL_BYTES, os.SEEK_END)
    length = int.from_bytes(file.read(_TAIL_BYTES // 2), "little")
    file.seek(end - length)
    footer = file.read(length)
    compact, groups = Compact(footer, lists=_LISTS), 0
    # All of it once, to be sure that nothing comes after the row groups that makes others of them.
    for number, kind in compact.fields():
        if number == _GROUPS:
            groups = compact.place
            for _ in compact.items((_GROUPS,)):
                pass
        else:
            compact.value(kind, (number,))
    if not groups:
        raise _invalid()
    yield from Compact(footer, groups, lists=_LISTS).items((_GROUPS,))


def _size(file: BinaryIO, column: Fields, most_values: int) -> int:
    """Bytes of a column: of its pages, decompressed, or where that is more, of all its values with four bytes each."""
    place: int = column[_DATA_PAGE]
    if 0 < column.get(_DICTIONARY_PAGE, 0) < place:
        place = column[_DICTIONARY_PAGE]
    end = place + column[_COMPRESSED_SIZE]
    size = values = 0
    while place < end:
        file.seek(place)
        compact = Compact(file.read(min(_MAX_HEADER_BYTES, end - place)))
        header = compact.struct()
        if header[_UNCOMPRESSED] < 0 or header[_COMPRESSED] < 0:
            raise _invalid()
        size += header[_UNCOMPRESSED]
        values += _values(header)
        place += compact.place + header[_COMPRESSED]
    if place != end or values != column[_VALUES] or values > most_values:
        raise _invalid()
    return max(size, 4 * most_values)


def _values(header: Fields) -> int:
    """How many values of its column a page has; a dictionary's are none."""
    details, encoding = _ENCODINGS_AT[header[_KIND]]
    if header[details][encoding] not in _ENCODINGS:
        raise InvalidImport("a page is encoded in another way than plainly or with a dictionary")
    values: int = 0 if header[_KIND] == _DICTIONARY_KIND else header[details][_VALUES_OF_PAGE]
    if values < 0:
        raise _invalid()
    return values


def _invalid() -> InvalidImport:
    return InvalidImport("the pages of a row group are not as the file says")
