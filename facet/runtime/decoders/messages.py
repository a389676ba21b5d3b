"""What the pool and a decoder say to each other over a socket that keeps the borders of messages.

A request carries a file descriptor: the shared buffer, which holds the encoded picture and then takes its pixels. If
the picture has more pixels than the request has room for, the decoder only says its size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from facet.runtime.pictures.errors import InvalidPicture, PictureError, PictureTooLarge, PictureTooSlow

READY = b"ready"
MAX_MESSAGE_BYTES = 4096

_REQUEST = struct.Struct("<QQQ")
_SIZE = struct.Struct("<cII")
_DECODED, _TOO_LARGE_NOW = b"D", b"N"
_ERRORS: dict[bytes, type[PictureError]] = {b"I": InvalidPicture, b"L": PictureTooLarge, b"S": PictureTooSlow}


@dataclass(frozen=True, slots=True)
class Request:
    """Decode the picture at the start of the buffer.

    Attributes:
        length: its bytes.
        max_pixels: a larger picture is refused.
        room: of a larger picture only the size is told.
    """

    length: int
    max_pixels: int
    room: int

    def encoded(self) -> bytes:
        """As bytes."""
        return _REQUEST.pack(self.length, self.max_pixels, self.room)

    @classmethod
    def parsed(cls, message: bytes) -> Request:
        """From bytes."""
        return cls(*_REQUEST.unpack(message))


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a picture; upright, if it is decoded.

    Attributes:
        height: pixels.
        width: pixels.
        is_decoded: whether the buffer holds the pixels. If not, there was no room for them.
    """

    height: int
    width: int
    is_decoded: bool

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    def encoded(self) -> bytes:
        """As a reply."""
        return _SIZE.pack(_DECODED if self.is_decoded else _TOO_LARGE_NOW, self.height, self.width)


def refused(error: PictureError) -> bytes:
    """The reply that the picture cannot be used."""
    code = next(code for code, kind in _ERRORS.items() if isinstance(error, kind))
    return code + str(error).encode()[: MAX_MESSAGE_BYTES - 1]


def size_of(reply: bytes) -> Size:
    """The size that a reply tells, or the error that it tells, raised."""
    if reply[:1] in _ERRORS:
        raise _ERRORS[reply[:1]](reply[1:].decode(errors="replace"))
    code, height, width = _SIZE.unpack(reply)
    return Size(height, width, is_decoded=code == _DECODED)
