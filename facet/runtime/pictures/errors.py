"""The errors of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal


class PictureError(Exception):
    """A picture cannot be used.

    Attributes:
        kind: the category of failure, independent of any protocol.
        reason: stable identifier of the failure.
        request_field: the field of the request that holds the picture; empty until the caller names it.
    """

    kind: ClassVar[Literal["invalid"]] = "invalid"
    reason: ClassVar[str]
    request_field: str | None = ""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Further facts for programs, by name."""
        return {}


class InvalidPicture(PictureError):
    """The data is not a picture, is damaged, or has an unsupported format."""

    reason = "INVALID_PICTURE"


class PictureTooLarge(PictureError):
    """The picture has more pixels than allowed, or needs more memory than so many pixels may."""

    reason = "PICTURE_TOO_LARGE"


class PictureTooSlow(PictureError):
    """The picture takes longer to decode than its number of pixels may."""

    reason = "PICTURE_TOO_SLOW"

    def __init__(self, message: str = "the picture takes too long to decode: save it in a simpler form") -> None:
        super().__init__(message)
