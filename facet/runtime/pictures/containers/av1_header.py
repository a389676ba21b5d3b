"""Reads the size of the frames from the sequence header of an AV1 picture (AV1 specification, section 5.5)."""

from __future__ import annotations

from facet.runtime.pictures.errors import InvalidPicture

MAX_OBUS = 256
"""Open bitstream units of a picture. Encoders write two or three."""

_SEQUENCE_HEADER = 1
_HEADER_BYTES = 256
"""More than a sequence header of 32 operating points takes."""
_DAMAGED = "the AVIF is truncated or damaged: it has no header of its frames"


class _Bits:
    """Reads numbers of a few bits one after the other; the highest bit of a byte is the first."""

    def __init__(self, data: memoryview) -> None:
        self._bits, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def number(self, size: int) -> int:
        self._left -= size
        if self._left < 0:
            raise InvalidPicture(_DAMAGED)
        return self._bits >> self._left & (1 << size) - 1

    def skip_variable(self) -> None:
        """Skip a number in the code ``uvlc``: zeros, a one, and as many bits."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        if zeros < 32:
            self.number(zeros)


def frame_size(data: memoryview) -> tuple[int, int]:
    """The largest width and height, pixels, that the headers of a picture permit.

    Args:
        data: a sequence of open bitstream units.

    Raises:
        InvalidPicture: there is no header, it is damaged, or there are too many units.
    """
    width = height = position = 0
    for _ in range(MAX_OBUS):
        if position >= len(data):
            break
        kind, body, position = _unit(data, position)
        if kind == _SEQUENCE_HEADER:
            sides = _sides(_Bits(body[:_HEADER_BYTES]))
            width, height = max(width, sides[0]), max(height, sides[1])
    else:
        raise InvalidPicture(f"the AVIF has more than {MAX_OBUS} units in a picture")
    if not width:
        raise InvalidPicture(_DAMAGED)
    return width, height


def _unit(data: memoryview, position: int) -> tuple[int, memoryview, int]:
    """The kind and the body of the unit that begins there, and where it ends."""
    header = data[position]
    position += 2 if header & 4 else 1
    length = len(data) - position
    if header & 2:
        length = shift = 0
        for byte in data[position : position + 8]:
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
    if length < 0 or position + length > len(data):
        raise InvalidPicture(_DAMAGED)
    return header >> 3 & 15, data[position : position + length], position + length


def _sides(bits: _Bits) -> tuple[int, int]:
    bits.number(3 + 1)
    if bits.number(1):  # of a still picture, with few fields
        bits.number(5)
    else:
        _skip_operating_points(bits)
    sizes = bits.number(4) + 1, bits.number(4) + 1
    return bits.number(sizes[0]) + 1, bits.number(sizes[1]) + 1


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.number(1):  # timing
        bits.number(64)
        if bits.number(1):
            bits.skip_variable()
        if bits.number(1):  # model of the decoder
            delay_bits = bits.number(5) + 1
            bits.number(32 + 5 + 5)
    has_display_delays = bits.number(1)
    for _ in range(bits.number(5) + 1):
        bits.number(12)
        if bits.number(5) > 7:
            bits.number(1)
        if delay_bits and bits.number(1):
            bits.number(2 * delay_bits + 1)
        if has_display_delays and bits.number(1):
            bits.number(4)
