"""Reads the first directory of a TIFF, and writes a TIFF of one directory (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from enum import IntEnum
from itertools import accumulate

from facet.runtime.pictures.errors import InvalidPicture

MAX_ENTRIES = 4096

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each type."""
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_SHORT, _LONG, _LONG8 = 3, 4, 16
_MAX_VALUE_BYTES = 2**22


class Tag(IntEnum):
    """The tags of a directory that matter."""

    SUBFILE = 254
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    PLANAR = 284
    T4_OPTIONS = 292
    T6_OPTIONS = 293
    PREDICTOR = 317
    PALETTE = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    YCBCR_POSITIONING = 531
    REFERENCE_BLACK_WHITE = 532
    DNG = 50706


_NOT_WRITTEN = {
    Tag.SUBFILE,
    Tag.ORIENTATION,
    Tag.STRIP_OFFSETS,
    Tag.STRIP_BYTES,
    Tag.TILE_OFFSETS,
    Tag.TILE_BYTES,
    Tag.DNG,
}
_KNOWN = frozenset(Tag)


class Directory:
    """The first directory of a TIFF or BigTIFF. The links to others are not followed, so none can form a loop.

    Args:
        data: the file.

    Raises:
        InvalidPicture: the directory, or a value that matters, lies behind the end of the data or is too long.
    """

    def __init__(self, data: bytes) -> None:
        self._order = "<" if data[:2] == b"II" else ">"
        big = data[2:4] in (b"+\0", b"\0+")
        head, count, entry = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")
        try:
            (start,) = struct.unpack_from(self._order + head, data, 8 if big else 4)
            (entries,) = struct.unpack_from(self._order + count, data, start)
            if entries > MAX_ENTRIES:
                raise InvalidPicture(f"the TIFF has more than {MAX_ENTRIES} entries in its directory")
            form = struct.Struct(f"{self._order}{entry}")
            start += struct.calcsize(f"{self._order}{count}")
            found = [form.unpack_from(data, start + number * form.size) for number in range(entries)]
        except (struct.error, OverflowError) as error:
            raise InvalidPicture("the TIFF is truncated or damaged: its directory ends behind its data") from error
        self._values: dict[int, tuple[int, int, bytes]] = {}
        for tag, kind, values, inline in found:
            if tag in _KNOWN and kind in _BYTES and tag not in self._values:
                self._values[tag] = (kind, values, self._value(data, values * _BYTES[kind], inline))

    def __contains__(self, tag: Tag) -> bool:
        """Whether the directory has the tag."""
        return tag in self._values

    def numbers(self, tag: Tag) -> tuple[int, ...]:
        """The integers of a tag; none if it is missing or is of another type."""
        kind, count, value = self._values.get(tag, (0, 0, b""))
        return struct.unpack(f"{self._order}{count}{_INTEGERS[kind]}", value) if kind in _INTEGERS else ()

    def number(self, tag: Tag, default: int) -> int:
        """The first integer of a tag."""
        return next(iter(self.numbers(tag)), default)

    def written(self, tags: tuple[Tag, Tag], pieces: list[memoryview]) -> tuple[bytes | memoryview, ...]:
        """A TIFF of this directory alone with these strips or tiles, whose offsets and lengths have these tags.

        The orientation is left out, so that no decoder applies it.
        """
        entries = {number: value for number, value in self._values.items() if number not in _NOT_WRITTEN}
        lengths = [len(piece) for piece in pieces]
        size = len(pieces)
        for tag in tags:
            entries[tag] = (_LONG, size, bytes(4 * size))
        behind = 8 + 2 + 12 * len(entries) + 4
        start = behind + sum(len(value) + len(value) % 2 for _, _, value in entries.values() if len(value) > 4)
        offsets = list(accumulate(lengths, initial=start))[:-1]
        for tag, numbers in zip(tags, (offsets, lengths), strict=True):
            entries[tag] = (_LONG, size, struct.pack(f"{self._order}{size}I", *numbers))
        directory, values = [], bytearray()
        for number, (kind, count, value) in sorted(entries.items()):
            if kind == _LONG8:  # only BigTIFF has it
                kind, value = _LONG, self._shortened(count, value)
            inline = value.ljust(4, b"\0")
            if len(value) > 4:
                inline = struct.pack(f"{self._order}I", behind + len(values))
                values += value + bytes(len(value) % 2)
            directory.append(struct.pack(f"{self._order}HHI", number, kind, count) + inline)
        signature = b"II*\0" if self._order == "<" else b"MM\0*"
        head = signature + struct.pack(f"{self._order}IH", 8, len(directory))
        return (head, *directory, bytes(4), bytes(values), *pieces)

    def _shortened(self, count: int, value: bytes) -> bytes:
        numbers = struct.unpack(f"{self._order}{count}Q", value)
        try:
            return struct.pack(f"{self._order}{count}I", *numbers)
        except struct.error as error:
            raise InvalidPicture("a number of the TIFF is too large") from error

    def _value(self, data: bytes, length: int, inline: bytes) -> bytes:
        if length <= len(inline):
            return inline[:length]
        start = int.from_bytes(inline, "little" if self._order == "<" else "big")
        if length > _MAX_VALUE_BYTES or start + length > len(data):
            raise InvalidPicture("the TIFF is truncated or damaged: a value ends behind its data")
        return data[start : start + length]
