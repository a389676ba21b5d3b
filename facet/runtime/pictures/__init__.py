"""Decodes pictures to upright BGR arrays.

A file per format in ``formats/`` walks over the chunks or markers before a decoder sees a byte. It checks lengths
against the end of the data, limits counts, and bounds the decoder's time and memory by the pixels that the header
declares. The decoder then gets a picture that is written anew and holds only what the pixels need.
"""

from __future__ import annotations

from facet.runtime.pictures.decoded import DecodedPicture, Placement
from facet.runtime.pictures.decoding import FORMATS, decode, decode_reduced, read_header
from facet.runtime.pictures.errors import InvalidPicture, PictureError, PictureTooLarge, PictureTooSlow
from facet.runtime.pictures.header import PictureHeader
from facet.runtime.pictures.raw import from_raw

__all__ = [
    "FORMATS",
    "DecodedPicture",
    "InvalidPicture",
    "PictureError",
    "PictureHeader",
    "PictureTooLarge",
    "PictureTooSlow",
    "Placement",
    "decode",
    "decode_reduced",
    "from_raw",
    "read_header",
]
