"""The unused gaps inside the pages of an SQLite file, where copies of moved rows stay.

When SQLite balances a b-tree it moves cells between pages and does not clear where they were, even with
``secure_delete``: see ``rebuildPage`` in ``btree.c``. Such a copy lies in the gap between the cell pointers and the
cells of a page, and outlives the row. https://www.sqlite.org/fileformat2.html describes the format.
"""

from __future__ import annotations

import os
import struct

MAX_PAGES = (1 << 25) - 1
"""Pages that a database may have, so that the first byte of an overflow or freelist page, the highest byte of a page
number, is never the type of a b-tree page."""

_FILE_HEADER = 100
"""Length of the header in front of the first page's own, bytes."""
_INTERIOR, _LEAF = (2, 5), (10, 13)
_INTERIOR_HEADER, _LEAF_HEADER = 12, 8


def page_size_of(file_header: bytes) -> int:
    """Return the page size that the header of a file states, bytes; 0 if it is not the header of a database."""
    if len(file_header) < _FILE_HEADER or not file_header.startswith(b"SQLite format 3\0"):
        return 0
    size = int.from_bytes(file_header[16:18], "big")
    return 65536 if size == 1 else size


def gap_of(page: bytes, number: int) -> tuple[int, int]:
    """Return where the gap of a page begins and ends, bytes; (0, 0) if it is not a sound page of a b-tree.

    Args:
        page: the page.
        number: its number, from 1.
    """
    start = _FILE_HEADER if number == 1 else 0
    kind = page[start]
    if kind in _LEAF:
        pointers = start + _LEAF_HEADER
    elif kind in _INTERIOR:
        pointers = start + _INTERIOR_HEADER
    else:
        return 0, 0
    cells = int.from_bytes(page[start + 3 : start + 5], "big")
    contents = int.from_bytes(page[start + 5 : start + 7], "big") or 65536
    begin = pointers + 2 * cells
    if not begin <= contents <= len(page):
        return 0, 0
    # A damaged page must not lose a cell that could still be saved.
    first = min(struct.unpack(f">{cells}H", page[pointers:begin]), default=contents)
    return (begin, contents) if first >= contents else (0, 0)


def clear_gap(descriptor: int, number: int, page_size: int) -> bool:
    """Overwrite the gap of a page in a file with zeros, and return whether there was anything to overwrite.

    Nobody may write to the file in the meantime. Readers do not notice: SQLite never looks at a gap.

    Args:
        descriptor: the file, open for reading and writing.
        number: the page, from 1.
        page_size: bytes.

    Raises:
        OSError: the file cannot be read or written.
    """
    offset = (number - 1) * page_size
    page = os.pread(descriptor, page_size, offset)
    if len(page) < page_size:
        return False
    begin, end = gap_of(page, number)
    if page.count(0, begin, end) == end - begin:
        return False
    os.pwrite(descriptor, bytes(end - begin), offset + begin)
    return True


def clear_gaps(descriptor: int) -> None:
    """Overwrite all gaps of a database file that nobody has open, and that needs no log.

    Raises:
        OSError: the file cannot be read or written.
    """
    page_size = page_size_of(os.pread(descriptor, _FILE_HEADER, 0))
    pages = os.fstat(descriptor).st_size // page_size if page_size else 0
    for number in range(1, min(pages, MAX_PAGES) + 1):
        clear_gap(descriptor, number, page_size)
