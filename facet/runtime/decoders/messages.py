"""What the pool and a decoder say to each other over a socket that keeps the borders of messages.

A request carries a file descriptor: the shared buffer, which holds the encoded picture and then takes its pixels. If
the picture has more pixels than the request has room for, the decoder only says its size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from facet.runtime.pictures.decoded import Placement
from facet.runtime.pictures.errors import InvalidPicture, PictureError, PictureTooLarge, PictureTooSlow

READY = b"ready"
MAX_MESSAGE_BYTES = 4096

_REQUEST = struct.Struct("<QQQI")
_SIZE = struct.Struct("<cIIIIIii")
_DECODED, _TOO_LARGE_NOW = b"D", b"N"
_ERRORS: dict[bytes, type[PictureError]] = {b"I": InvalidPicture, b"L": PictureTooLarge, b"S": PictureTooSlow}


@dataclass(frozen=True, slots=True)
class Request:
    """Decode the picture at the start of the buffer.

    Attributes:
        length: its bytes.
        max_pixels: a larger picture is refused.
        room: of a picture that has more pixels when it is decoded, only the size is told.
        longer_side: see :func:`facet.runtime.pictures.decode_reduced`.
    """

    length: int
    max_pixels: int
    room: int
    longer_side: int | None = None

    def encoded(self) -> bytes:
        """As bytes."""
        return _REQUEST.pack(self.length, self.max_pixels, self.room, self.longer_side or 0)

    @classmethod
    def parsed(cls, message: bytes) -> Request:
        """From bytes."""
        length, max_pixels, room, longer_side = _REQUEST.unpack(message)
        return cls(length, max_pixels, room, longer_side or None)


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the decoded pixels; upright, if they are there.

    Attributes:
        height: pixels.
        width: pixels.
        is_decoded: whether the buffer holds the pixels. If not, there was no room for them.
        placement: where they are in the full picture.
    """

    height: int
    width: int
    is_decoded: bool
    placement: Placement

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    def encoded(self) -> bytes:
        """As a reply."""
        code, place = _DECODED if self.is_decoded else _TOO_LARGE_NOW, self.placement
        full = place.height, place.width, place.scale, place.top, place.left
        return _SIZE.pack(code, self.height, self.width, *full)


def refused(error: PictureError) -> bytes:
    """The reply that the picture cannot be used."""
    code = next(code for code, kind in _ERRORS.items() if isinstance(error, kind))
    return code + str(error).encode()[: MAX_MESSAGE_BYTES - 1]


def size_of(reply: bytes) -> Size:
    """The size that a reply tells, or the error that it tells, raised."""
    if reply[:1] in _ERRORS:
        raise _ERRORS[reply[:1]](reply[1:].decode(errors="replace"))
    code, height, width, full_height, full_width, scale, top, left = _SIZE.unpack(reply)
    place = Placement(full_width, full_height, scale, left, top)
    return Size(height, width, is_decoded=code == _DECODED, placement=place)
