"""The sizes of row groups, computed from page headers before anything is decoded.

A file may say anything about its row groups; the header of a page decides how much a reader allocates. Both are
described by parquet.thrift in apache/parquet-format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gallery.errors import InvalidImport
from gallery.transfer.parquet.thrift_compact import (
    INTEGER_32,
    INTEGER_64,
    LIST,
    STRUCT,
    TEXT,
    CompactReader,
    Fields,
    Path,
)

_MAX_HEADER_BYTES = 1 << 15
_TAIL_BYTES = 8

# Fields of the file metadata, of a row group, of a column chunk, and of its metadata.
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
"""All lists in a footer, and the types of their items."""

# Fields of a page header: its kind, its sizes, and for each kind the encoding of its values.
_KIND, _UNCOMPRESSED, _COMPRESSED, _PAGE_VALUES = ((number, INTEGER_32) for number in (1, 2, 3, 1))
_DICTIONARY_KIND = 2
_ENCODING_FIELDS = {
    0: ((5, STRUCT), (2, INTEGER_32)),
    _DICTIONARY_KIND: ((7, STRUCT), (2, INTEGER_32)),
    3: ((8, STRUCT), (4, INTEGER_32)),
}
_ENCODINGS = (0, 2, 8)
"""Plain, and the two names of dictionary encoding. No value is longer than its page or its dictionary."""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """The size of a row group according to its pages.

    Attributes:
        lines: the number of lines.
        size: bytes of its pages, decompressed; a value of a dictionary counts once, however often it is used.
    """

    lines: int
    size: int


def row_groups(file: BinaryIO, *, values: list[int]) -> Iterator[RowGroup]:
    """Read the row groups of a file, each when it is asked for.

    The footer is parsed here: Arrow's own interface ends the process if a column's description is invalid.

    Args:
        file: readable and seekable, with a footer of valid length.
        values: for every column, the most values of a line.

    Raises:
        InvalidImport: pages are not where the file says, do not have as many values, or have another encoding than
            plain or dictionary.
    """
    try:
        for group in _group_metadata(file):
            lines, columns = group[_LINES], [column[_DATA] for column in group[_COLUMNS]]
            if len(columns) != len(values) or lines < 0:
                raise _invalid()
            most = [lines * each for each in values]
            # Without lines there may be no pages either.
            size = sum(_column_size(file, *column) for column in zip(columns, most, strict=True)) if lines else 0
            yield RowGroup(lines, size)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise _invalid() from error


def _group_metadata(file: BinaryIO) -> Iterator[Fields]:
    """Read what the footer says about the row groups."""
    end = file.seek(-_TAIL_BYTES, os.SEEK_END)
    length = int.from_bytes(file.read(_TAIL_BYTES // 2), "little")
    file.seek(end - length)
    footer = file.read(length)
    reader, groups = CompactReader(footer, lists=_LISTS), 0
    # Parse all of it once, to be sure that nothing after the row groups changes their meaning.
    for number, kind in reader.fields():
        if number == _GROUPS:
            groups = reader.position
            for _ in reader.items((_GROUPS,)):
                pass
        else:
            reader.value(kind, (number,))
    if not groups:
        raise _invalid()
    yield from CompactReader(footer, groups, lists=_LISTS).items((_GROUPS,))


def _column_size(file: BinaryIO, column: Fields, most_values: int) -> int:
    """Return the bytes of a column's pages, decompressed; at least four bytes for each of its values."""
    position: int = column[_DATA_PAGE]
    if 0 < column.get(_DICTIONARY_PAGE, 0) < position:
        position = column[_DICTIONARY_PAGE]
    end = position + column[_COMPRESSED_SIZE]
    size = values = 0
    while position < end:
        file.seek(position)
        reader = CompactReader(file.read(min(_MAX_HEADER_BYTES, end - position)))
        header = reader.struct()
        if header[_UNCOMPRESSED] < 0 or header[_COMPRESSED] < 0:
            raise _invalid()
        size += header[_UNCOMPRESSED]
        values += _page_values(header)
        position += reader.position + header[_COMPRESSED]
    if position != end or values != column[_VALUES] or values > most_values:
        raise _invalid()
    return max(size, 4 * most_values)


def _page_values(header: Fields) -> int:
    """Return how many values of its column a page has; a dictionary has none."""
    details, encoding = _ENCODING_FIELDS[header[_KIND]]
    if header[details][encoding] not in _ENCODINGS:
        raise InvalidImport("a page is encoded in another way than plain or with a dictionary")
    values: int = 0 if header[_KIND] == _DICTIONARY_KIND else header[details][_PAGE_VALUES]
    if values < 0:
        raise _invalid()
    return values


def _invalid() -> InvalidImport:
    return InvalidImport("the pages of a row group are not as the file says")
