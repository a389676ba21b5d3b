"""Walks over the markers of a JPEG (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures.errors import InvalidPicture, PictureTooLarge, PictureTooSlow
from facet.runtime.pictures.exif import orientation_of
from facet.runtime.pictures.header import Layout, PictureHeader, check_size
from facet.runtime.pictures.opencv import imdecode

MAX_SEGMENTS = 4096
MAX_SCANS = 32
SCALES = (1, 2, 4, 8)
"""Divisors of the size at which libjpeg decodes without the full picture: it uses fewer coefficients of each block."""
MAX_REDUCTION = 4
"""How many times the permitted pixels a picture may have that is decoded at a reduced size. The decoder reads all
of its data, which takes two fifths of the time of a full decoding."""
MAX_BLOCK_VISITS = 20_000_000
"""Blocks of 8x8 samples that all scans together may decode. A picture of 50 megapixels has 1.2 million of them with the
usual subsampling and 2.3 million without, and a progressive picture visits each five to seven times."""
_ARITHMETIC_FACTOR = 4
"""How much longer arithmetic decoding takes, whether or not there is data for it."""
_BLOCK_BYTES = 128
"""libjpeg keeps the coefficients of a block in 16 bits each until the last scan is read."""
_OTHER_BYTES = 2**24
"""Rows and tables beside the coefficients and the decoded picture."""

_SIGNATURE = b"\xff\xd8\xff"
_NEXT_MARKER = re.compile(rb"[^\xff]*+(?:\xff++\x00[^\xff]*+)*+\xff++[^\x00]")
"""Skips fill bytes and, as libjpeg does, bytes between segments. Possessive, so that its time is linear."""
_END_OF_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""Restart markers belong to a scan, and so do reserved codes: libjpeg skips those."""

_SOI, _EOI, _SOS, _DNL = 0xD8, 0xD9, 0xDA, 0xDC
_APP0, _APP1, _APP14 = 0xE0, 0xE1, 0xEE
_SEQUENTIAL, _PROGRESSIVE, _ARITHMETIC = {0xC0, 0xC1, 0xC9}, {0xC2, 0xCA}, {0xC9, 0xCA}
_FRAMES = _SEQUENTIAL | _PROGRESSIVE
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD}
_IGNORED = {_DNL, 0xFE, *range(0xE0, 0xF0)}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_COLOURS = {_APP0: (b"JFIF\0", 14), _APP14: (b"Adobe", 12)}
"""Segments that tell the colour space: how they begin, and how many bytes of them matter."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """A marker, its payload, and the end of the entropy-coded data behind it, which only a start of scan has."""

    code: int
    payload: memoryview
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame header.

    Attributes:
        code: its marker.
        width: pixels.
        height: pixels.
        blocks: the id of each component and its number of blocks.
    """

    code: int
    width: int
    height: int
    blocks: tuple[tuple[int, int], ...]

    def scanned(self, scan: memoryview) -> list[int]:
        """The number of blocks of each component that a start of scan lists."""
        count = scan[0] if len(scan) else 0
        if not 1 <= count <= len(self.blocks) or len(scan) != 4 + 2 * count:
            raise InvalidPicture("a start of scan of the JPEG is damaged")
        known = dict(self.blocks)
        if any(component not in known for component in scan[1 : 1 + 2 * count : 2]):
            raise InvalidPicture("a scan of the JPEG has an unknown component")
        if count == len(self.blocks):
            return [blocks for _, blocks in self.blocks]
        return [known[component] for component in scan[1 : 1 + 2 * count : 2]]


def matches(data: bytes) -> bool:
    """Whether the data begins like a JPEG."""
    return data.startswith(_SIGNATURE)


def walk(data: bytes, max_pixels: int, longer_side: int | None = None) -> Layout:
    """Check a JPEG, and keep its tables, its frame, its scans, and the two segments that tell its colour space.

    What follows the picture is cut off: the film of a Motion Photo, or further pictures (MPO).

    Args:
        data: the JPEG.
        max_pixels: of the decoded picture.
        longer_side: decode at the smallest of the :data:`SCALES` whose longer side has this many pixels, and that has
            no more than ``max_pixels``; ``None``: at full size.

    Raises:
        InvalidPicture: a segment is damaged or unsupported, or there are too many segments or scans.
        PictureTooLarge: it has more than ``max_pixels``, or :data:`MAX_REDUCTION` times as many with a ``longer_side``,
            or its scans need more memory than allowed.
        PictureTooSlow: its scans take too much time.
    """
    parts: list[bytes | memoryview] = []
    colours: dict[int, bytes] = {}
    frame: _Frame | None = None
    scale = 1
    exif = xmp = b""
    scans = visits = 0
    position, complete = 0, False
    for segment in _segments(data):
        code, payload, position = segment.code, segment.payload, segment.end
        if code == _EOI:
            position, complete = 0, True
            break
        if code in _FRAMES:
            if frame is not None:
                raise InvalidPicture("the JPEG has two frame headers")
            frame = _frame(code, payload, max_pixels if longer_side is None else MAX_REDUCTION * max_pixels)
            if longer_side is not None:
                scale = _scale(frame.width, frame.height, longer_side, max_pixels)
        elif code == _SOS:
            if frame is None:
                raise InvalidPicture("the JPEG has a scan before its frame header")
            blocks = frame.scanned(payload)
            scans, visits = scans + 1, visits + sum(blocks)
            # The decoder reads such a scan row by row, and nothing behind it.
            complete = scans == 1 and frame.code in _SEQUENTIAL and len(blocks) == len(frame.blocks)
            _check_work(frame, scans, visits, max_pixels, scale, kept=not complete)
        elif scans == 0 and code in _COLOURS:
            start, useful = _COLOURS[code]
            if len(payload) >= useful and bytes(payload[: len(start)]) == start:
                colours[code] = b"".join(_written(code, payload[:useful]))
            continue
        elif code not in _TABLES:
            if scans == 0 and code == _APP1:
                exif = exif or _if_begins(payload, _EXIF)
                xmp = xmp or _if_begins(payload, _XMP)
            continue
        parts += _written(code, payload)
        if code == _SOS:
            parts.append(memoryview(data)[segment.start : segment.end])
            if complete:
                break
    if frame is None or scans == 0 or not complete:
        raise InvalidPicture("the JPEG is truncated or damaged")
    end = b"\xff\xd9" if position < len(data) else b""  # the decoder finds out whether data without an end is complete
    header = PictureHeader("JPEG", frame.width, frame.height, orientation_of(exif, xmp))
    return Layout(header, (_SIGNATURE[:2], *colours.values(), *parts, end), scale=scale)


def decode(layout: Layout) -> NDArray[np.uint8] | None:
    """Decode to BGR; ``None`` if the data is damaged."""
    return imdecode(layout)


def _segments(data: bytes) -> Iterator[_Segment]:
    """The segments in order, each checked against the end of the data."""
    view, position = memoryview(data), 2
    for _ in range(MAX_SEGMENTS):
        marker = _NEXT_MARKER.match(data, position)
        if marker is None:
            return
        code, position = data[marker.end() - 1], marker.end()
        if code in _WITHOUT_LENGTH:
            continue
        if code == _EOI:
            yield _Segment(code, view[:0], position, position)
            return
        if code not in _FRAMES | _TABLES | _IGNORED and code != _SOS:
            raise InvalidPicture(f"the JPEG has an unsupported marker, 0x{code:02x}")
        length = int.from_bytes(data[position : position + 2], "big")
        start = position + length
        if length < 2 or start > len(data):
            raise InvalidPicture("the JPEG is truncated or damaged: a segment ends behind its data")
        position = _end_of_scan(data, start) if code == _SOS else start
        yield _Segment(code, view[marker.end() + 2 : start], start, position)
    raise InvalidPicture(f"the JPEG has more than {MAX_SEGMENTS} segments")


def _end_of_scan(data: bytes, start: int) -> int:
    marker = _END_OF_SCAN.search(data, start)
    return len(data) if marker is None else marker.start()


def _frame(code: int, payload: memoryview, max_pixels: int) -> _Frame:
    if len(payload) < 6 or len(payload) != 6 + 3 * payload[5]:
        raise InvalidPicture("the frame header of the JPEG is damaged")
    precision, count = payload[0], payload[5]
    height, width = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
    if precision != 8:
        raise InvalidPicture(f"the JPEG has {precision} bits a sample: 8 are supported")
    if count not in (1, 3, 4):
        raise InvalidPicture(f"the JPEG has {count} components: 1, 3 or 4 are supported")
    check_size(width, height, max_pixels)
    sampling = [(payload[at + 1] >> 4, payload[at + 1] & 15) for at in range(6, len(payload), 3)]
    if not all(1 <= factor <= 4 for pair in sampling for factor in pair):
        raise InvalidPicture("the JPEG has invalid sampling factors")
    columns = -(-width // (8 * max(horizontal for horizontal, _ in sampling)))
    rows = -(-height // (8 * max(vertical for _, vertical in sampling)))
    blocks = [columns * horizontal * rows * vertical for horizontal, vertical in sampling]
    return _Frame(code, width, height, tuple(zip(payload[6::3], blocks, strict=True)))


def _scale(width: int, height: int, longer_side: int, max_pixels: int) -> int:
    """The largest scale that leaves the longer side long enough; a larger one if that has too many pixels."""
    wanted = max(scale for scale in SCALES if scale == 1 or -(-max(width, height) // scale) >= longer_side)
    fitting = (scale for scale in SCALES if -(-width // scale) * -(-height // scale) <= max_pixels)
    return max(wanted, next(fitting, SCALES[-1]))


def _check_work(frame: _Frame, scans: int, visits: int, max_pixels: int, scale: int, *, kept: bool) -> None:
    """Refuse scans that take too much time, or too much memory because the decoder keeps all coefficients."""
    if scans > MAX_SCANS:
        raise InvalidPicture(f"the JPEG has more than {MAX_SCANS} scans")
    size = f"the JPEG is {frame.width}x{frame.height}"
    if visits * (_ARITHMETIC_FACTOR if frame.code in _ARITHMETIC else 1) > MAX_BLOCK_VISITS:
        raise PictureTooSlow(f"{size} and takes too long to decode in its {scans} scans or more: save it with fewer")
    coefficients = _BLOCK_BYTES * sum(blocks for _, blocks in frame.blocks) if kept else 0
    pixels = -(-frame.width // scale) * -(-frame.height // scale)
    if coefficients + 3 * pixels > 9 * max_pixels + _OTHER_BYTES:
        raise PictureTooLarge(f"{size} and needs too much memory to decode, because it is progressive: reduce its size")


def _written(code: int, payload: memoryview) -> tuple[bytes, bytes, memoryview]:
    return bytes((0xFF, code)), (len(payload) + 2).to_bytes(2, "big"), payload


def _if_begins(payload: memoryview, start: bytes) -> bytes:
    return bytes(payload) if bytes(payload[: len(start)]) == start else b""
