"""Pictures as they are received, encoded or raw, and how they are decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from facet.runtime import pictures
from facet.runtime.picture_size import claimed_pixels
from facet.runtime.pictures import DecodedPicture
from recognizer.progress import Turns


class Decode(Protocol):
    """Decodes pictures as :func:`facet.runtime.pictures.decode_reduced` does."""

    def __call__(self, data: bytes, *, max_pixels: int, longer_side: int | None = None) -> Turns[DecodedPicture]:
        """Decode to upright BGR; raises :class:`facet.runtime.pictures.PictureError`."""


def decode_here(data: bytes, *, max_pixels: int, longer_side: int | None = None) -> Turns[DecodedPicture]:
    """Decode in the calling thread, in one turn; see :class:`Decode`."""
    return pictures.decode_reduced(data, max_pixels=max_pixels, longer_side=longer_side)
    yield


class Source(Protocol):
    """A picture as received: encoded or raw."""

    def decode(self, decode: Decode, max_pixels: int, longer_side: int | None, /) -> Turns[DecodedPicture]:
        """Return the pixels, upright BGR; yields while others decode them.

        Args:
            decode: decodes the picture if it is encoded.
            max_pixels: larger pictures are refused, unless they are decoded at a reduced size.
            longer_side: the longer side may be reduced to this many pixels; ``None``: it may not.

        Raises:
            PictureError: the picture is damaged, unsupported or too large.
        """

    def claimed_pixels(self) -> int:
        """How many pixels it claims to have; cheap, because it is not decoded."""

    def sha256(self) -> str:
        """Hexadecimal digest of the received bytes."""

    @property
    def turn(self) -> int | None:
        """The picture's turn, if the caller has told it; see :mod:`recognizer.search.orientation`."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture as the bytes of an image file, and its turn if that is known."""

    data: bytes
    turn: int | None = None

    def decode(self, decode: Decode, max_pixels: int, longer_side: int | None, /) -> Turns[DecodedPicture]:
        """See :class:`Source`."""
        return decode(self.data, max_pixels=max_pixels, longer_side=longer_side)

    def claimed_pixels(self) -> int:
        """See :class:`Source`."""
        return claimed_pixels(self.data)

    def sha256(self) -> str:
        """See :class:`Source`."""
        return hashlib.sha256(self.data).hexdigest()
