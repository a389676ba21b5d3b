"""Reads the header of a JPEG XL, and where its codestream lies (ISO/IEC 18181-1 annex D, 18181-2 clause 9)."""

from __future__ import annotations

from dataclasses import dataclass

from facet.runtime.pictures.containers.boxes import boxes
from facet.runtime.pictures.errors import InvalidPicture

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"
HEADER_BYTES = 64
"""More than the fields take that are read here."""

_ASPECT_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIDES = ((1, 9), (1, 13), (1, 18), (1, 30))
_PREVIEW_SIDES = ((1, 6), (65, 8), (321, 10), (1345, 12))
_PREVIEW_EIGHTHS = ((16, 0), (32, 0), (1, 5), (33, 9))
_TICKS, _TICK_DIVISORS = ((100, 0), (1000, 0), (1, 10), (1, 30)), ((1, 0), (1001, 0), (1, 8), (1, 10))
_LOOPS = ((0, 0), (0, 3), (0, 16), (0, 32))
_INTEGER_BITS, _FLOAT_BITS = ((8, 0), (10, 0), (12, 0), (1, 6)), ((32, 0), (16, 0), (24, 0), (1, 6))
_EXTRA_CHANNELS = ((0, 0), (1, 0), (2, 4), (1, 12))


@dataclass(frozen=True, slots=True)
class JxlHeader:
    """The header of a codestream.

    Attributes:
        width: pixels, before the orientation is applied.
        height: pixels, before the orientation is applied.
        orientation: like that of EXIF, 1 to 8.
        bits: of a sample.
        is_float: whether samples are floating-point numbers.
        extra_channels: channels beside grey or colours, such as alpha.
    """

    width: int
    height: int
    orientation: int = 1
    bits: int = 8
    is_float: bool = False
    extra_channels: int = 0


class _Bits:
    """Reads numbers of a few bits one after the other; the lowest bit of a byte is the first."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._bits, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def number(self, size: int) -> int:
        self._left -= size
        if self._left < 0:
            raise InvalidPicture("the JXL is truncated or damaged: its header ends behind its data")
        value = self._bits & (1 << size) - 1
        self._bits >>= size
        return value

    def one_of(self, choices: tuple[tuple[int, int], ...]) -> int:
        """Two bits choose among four pairs: the number is the first of a pair, and as many bits as the second says."""
        start, size = choices[self.number(2)]
        return start + self.number(size)

    def size(self, sides: tuple[tuple[int, int], ...], eighths: tuple[tuple[int, int], ...] = ()) -> tuple[int, int]:
        """Width and height; ``eighths`` are the choices where sides are multiples of 8, else these have 5 bits."""
        in_eighths = self.number(1)

        def side() -> int:
            if not in_eighths:
                return self.one_of(sides)
            return 8 * (self.one_of(eighths) if eighths else 1 + self.number(5))

        height, ratio = side(), self.number(3)
        if not ratio:
            return side(), height
        numerator, denominator = _ASPECT_RATIOS[ratio - 1]
        return height * numerator // denominator, height


def header_of(codestream: bytes | memoryview) -> JxlHeader:
    """The header at the start of a codestream; its first :data:`HEADER_BYTES` suffice.

    Raises:
        InvalidPicture: the data ends before.
    """
    bits = _Bits(codestream[len(CODESTREAM) : HEADER_BYTES])
    width, height = bits.size(_SIDES)
    if bits.number(1):  # the rest is as usual
        return JxlHeader(width, height)
    orientation = 1
    if bits.number(1):
        orientation += bits.number(3)
        if bits.number(1):  # the size at which it should be shown
            bits.size(_SIDES)
        if bits.number(1):
            bits.size(_PREVIEW_SIDES, _PREVIEW_EIGHTHS)
        if bits.number(1):
            for each in (_TICKS, _TICK_DIVISORS, _LOOPS):
                bits.one_of(each)
            bits.number(1)
    is_float = bool(bits.number(1))
    depth = bits.one_of(_FLOAT_BITS if is_float else _INTEGER_BITS)
    if is_float:
        bits.number(4)
    bits.number(1)
    return JxlHeader(width, height, orientation, depth, is_float, bits.one_of(_EXTRA_CHANNELS))


def codestream(data: bytes) -> list[memoryview]:
    """The pieces of the codestream, which lies alone or in boxes.

    Raises:
        InvalidPicture: a box ends behind the data, or none holds a codestream.
    """
    view = memoryview(data)
    pieces = [view] if data.startswith(CODESTREAM) else _in_boxes(view)
    if not b"".join(bytes(each[: len(CODESTREAM)]) for each in pieces).startswith(CODESTREAM):
        raise InvalidPicture("the JXL is truncated or damaged: its codestream begins with other bytes")
    return pieces


def _in_boxes(data: memoryview) -> list[memoryview]:
    pieces = []
    for each in boxes(data, "JXL"):
        if each.kind == b"jxlc":
            return [each.body]
        if each.kind == b"jxlp":
            pieces.append(each.body[4:])
            if bytes(each.body[:1]) >= b"\x80":  # the highest bit of a piece's number marks the last one
                return pieces
    raise InvalidPicture("the JXL is truncated or damaged: its boxes hold no complete picture")
