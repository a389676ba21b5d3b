"""Reads where the items of a HEIF or AVIF lie and what they are (ISO/IEC 23008-12, ISO/IEC 14496-12 section 8.11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from facet.runtime.pictures.containers.boxes import Box, Reader, box, boxes
from facet.runtime.pictures.errors import InvalidPicture

MAX_EXTENTS = 2**14
"""Pieces that all items together may lie in."""
_FILE, _IN_IDAT = 0, 1


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an item lies: in the file or in ``idat``, and the start and length of each piece."""

    method: int
    pieces: tuple[tuple[int, int], ...]


class Items:
    """The items of a picture.

    Args:
        data: the file.

    Raises:
        InvalidPicture: the file has no picture, or a box is damaged.

    Attributes:
        primary: the id of the picture to show.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        meta = next((each for each in boxes(self._data) if each.kind == b"meta"), None)
        if meta is None:
            raise InvalidPicture("the HEIF or AVIF has no still picture: a sequence alone is not supported")
        inside = _first_of_each_kind(boxes(meta.body[4:]))
        self._idat = inside.get(b"idat", memoryview(b""))
        self.primary = self._primary(inside)
        self._kinds = _kinds(_needed(inside, b"iinf"))
        self._places = _places(_needed(inside, b"iloc"))
        iprp = list(boxes(_needed(inside, b"iprp")))
        ipco = next((each.body for each in iprp if each.kind == b"ipco"), memoryview(b""))
        self._all_properties = list(boxes(ipco))
        self._encoded: dict[int, bytes] = {}
        self._associations: dict[int, list[int]] = {}
        for each in iprp:
            if each.kind == b"ipma":
                self._associations |= _associations(each.body)
        self._parts = _references(inside.get(b"iref", bytes(4)), b"dimg")

    def kind(self, item: int) -> bytes:
        """The item's type; empty if there is no such item."""
        return self._kinds.get(item, b"")

    def properties(self, item: int) -> list[Box]:
        """The item's properties, in order."""
        known = self._all_properties
        return [known[number - 1] for number in self._associations.get(item, ()) if 1 <= number <= len(known)]

    def encoded(self, each: Box) -> bytes:
        """One of the properties as a box. Items share it, so thousands of tiles cost no copies."""
        found = self._encoded.get(id(each))
        if found is None:
            found = self._encoded[id(each)] = box(each.kind, each.body)
        return found

    def parts(self, item: int) -> list[int]:
        """The ids of the items that an item is derived from, in order."""
        return self._parts.get(item, [])

    def pieces(self, item: int) -> list[memoryview]:
        """The item's bytes, in the pieces in which they lie.

        Raises:
            InvalidPicture: they end behind the data, or lie in another file.
        """
        place = self._places.get(item, _Place(_FILE, ()))
        if place.method not in (_FILE, _IN_IDAT):
            raise InvalidPicture("the HEIF or AVIF has a picture whose bytes lie in another item")
        whole = self._idat if place.method == _IN_IDAT else self._data
        found = []
        for start, length in place.pieces:
            end = start + length if length else len(whole)
            if end > len(whole) or start > end:
                raise InvalidPicture("the HEIF or AVIF is truncated or damaged: a picture ends behind its data")
            found.append(whole[start:end])
        return found

    @staticmethod
    def _primary(inside: dict[bytes, memoryview]) -> int:
        reader = Reader(_needed(inside, b"pitm"))
        version, _ = reader.full_box()
        return reader.number(4 if version else 2)


def _first_of_each_kind(found: Iterator[Box]) -> dict[bytes, memoryview]:
    first: dict[bytes, memoryview] = {}
    for each in found:
        first.setdefault(each.kind, each.body)
    return first


def _needed(inside: dict[bytes, memoryview], kind: bytes) -> memoryview:
    if kind not in inside:
        raise InvalidPicture(f"the HEIF or AVIF has no picture: it lacks {kind.decode()}")
    return inside[kind]


def _kinds(iinf: memoryview) -> dict[int, bytes]:
    """The type of each item."""
    reader = Reader(iinf)
    version, _ = reader.full_box()
    reader.number(4 if version else 2)
    found: dict[int, bytes] = {}
    for each in boxes(reader.rest()):
        entry = Reader(each.body)
        version, _ = entry.full_box()
        if version in (2, 3):
            item = entry.number(4 if version == 3 else 2)
            entry.number(2)
            found.setdefault(item, entry.number(4).to_bytes(4, "big"))
    return found


def _places(iloc: memoryview) -> dict[int, _Place]:
    reader = Reader(iloc)
    version, _ = reader.full_box()
    sizes = reader.number(1), reader.number(1)
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version else 0
    found: dict[int, _Place] = {}
    extents = 0
    for _ in range(reader.number(4 if version == 2 else 2)):
        item = reader.number(4 if version == 2 else 2)
        method = reader.number(2) & 15 if version else _FILE
        elsewhere, base, count = reader.number(2), reader.number(base_size), reader.number(2)
        extents += 1 + count
        if extents > MAX_EXTENTS:
            raise InvalidPicture(f"the HEIF or AVIF has its pictures in more than {MAX_EXTENTS} pieces")
        pieces = []
        for _ in range(count):
            reader.number(index_size)
            pieces.append((base + reader.number(offset_size), reader.number(length_size)))
        found.setdefault(item, _Place(-1 if elsewhere else method, tuple(pieces)))
    return found


def _associations(ipma: memoryview) -> dict[int, list[int]]:
    """The numbers of each item's properties, counted from 1."""
    reader = Reader(ipma)
    version, flags = reader.full_box()
    found: dict[int, list[int]] = {}
    for _ in range(reader.number(4)):
        item = reader.number(4 if version else 2)
        numbers = [reader.number(2) & 0x7FFF if flags & 1 else reader.number(1) & 0x7F for _ in range(reader.number(1))]
        found.setdefault(item, numbers)
    return found


def _references(iref: memoryview | bytes, kind: bytes) -> dict[int, list[int]]:
    reader = Reader(memoryview(iref))
    version, _ = reader.full_box()
    size = 4 if version else 2
    found: dict[int, list[int]] = {}
    for each in boxes(reader.rest()):
        if each.kind == kind:
            entry = Reader(each.body)
            item = entry.number(size)
            found.setdefault(item, [entry.number(size) for _ in range(entry.number(2))])
    return found
