"""What the pool and a decoder say to each other over a socket that keeps the borders of messages.

A request carries a file descriptor: the shared buffer, which holds the encoded picture and then takes its pixels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from facet.runtime.pictures.errors import InvalidPicture, PictureError, PictureTooLarge

READY = b"ready"
MAX_MESSAGE_BYTES = 4096

_REQUEST = struct.Struct("<QQ")
_SIZE = struct.Struct("<cII")
_DECODED = b"D"
_ERRORS: dict[bytes, type[PictureError]] = {b"I": InvalidPicture, b"L": PictureTooLarge}


@dataclass(frozen=True, slots=True)
class Request:
    """Decode the first ``length`` bytes of the buffer, a picture of at most ``max_pixels``."""

    length: int
    max_pixels: int

    def encoded(self) -> bytes:
        """As bytes."""
        return _REQUEST.pack(self.length, self.max_pixels)

    @classmethod
    def parsed(cls, message: bytes) -> Request:
        """From bytes."""
        return cls(*_REQUEST.unpack(message))


def decoded(height: int, width: int) -> bytes:
    """The reply that the buffer holds the pixels."""
    return _SIZE.pack(_DECODED, height, width)


def refused(error: PictureError) -> bytes:
    """The reply that the picture cannot be used."""
    code = next(code for code, kind in _ERRORS.items() if isinstance(error, kind))
    return code + str(error).encode()[: MAX_MESSAGE_BYTES - 1]


def size_of(reply: bytes) -> tuple[int, int]:
    """Height and width that a reply tells, or the error that it tells, raised."""
    if reply[:1] in _ERRORS:
        raise _ERRORS[reply[:1]](reply[1:].decode(errors="replace"))
    _, height, width = _SIZE.unpack(reply)
    return height, width
