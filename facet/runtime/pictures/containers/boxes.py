"""Reads and writes the boxes of ISO base media files (ISO/IEC 14496-12, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from facet.runtime.pictures.errors import InvalidPicture

MAX_BOXES = 2**14
"""In one box or file."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type and what follows its header."""

    kind: bytes
    body: memoryview


class Reader:
    """Reads numbers one after the other.

    Args:
        data: from its start.
    """

    def __init__(self, data: memoryview) -> None:
        self._data, self._position = data, 0

    def number(self, size: int) -> int:
        """The next big-endian number of ``size`` bytes; 0 has none.

        Raises:
            InvalidPicture: the data ends before.
        """
        end = self._position + size
        if end > len(self._data):
            raise InvalidPicture("a box of the HEIF or AVIF ends behind its data")
        value = int.from_bytes(self._data[self._position : end], "big")
        self._position = end
        return value

    def rest(self) -> memoryview:
        """What has not been read."""
        return self._data[self._position :]

    def full_box(self) -> tuple[int, int]:
        """Version and flags of a full box."""
        return self.number(1), self.number(3)


def boxes(data: memoryview, name: str = "HEIF or AVIF") -> Iterator[Box]:
    """The boxes in order, each checked against the end of the data.

    Args:
        data: the boxes, one behind the other.
        name: the format, for messages.

    Raises:
        InvalidPicture: a box is damaged, or there are too many.
    """
    position = 0
    for _ in range(MAX_BOXES):
        if position == len(data):
            return
        size, start = int.from_bytes(data[position : position + 4], "big"), position + 8
        if size == 1:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        elif size == 0:
            size = len(data) - position
        if position + size > len(data) or start > position + size:
            raise InvalidPicture(f"the {name} is truncated or damaged: a box ends behind its data")
        yield Box(bytes(data[position + 4 : position + 8]), data[start : position + size])
        position += size
    raise InvalidPicture(f"the {name} has more than {MAX_BOXES} boxes in one")


def box(kind: bytes, *bodies: bytes | memoryview) -> bytes:
    """A box of these bodies."""
    body = b"".join(bodies)
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def full_box(kind: bytes, *bodies: bytes | memoryview, version: int = 0, flags: int = 0) -> bytes:
    """A full box of these bodies."""
    return box(kind, bytes((version,)) + flags.to_bytes(3, "big"), *bodies)
