"""Reads the orientation from EXIF and XMP, and nothing else of them."""

from __future__ import annotations

import re
import struct

_TAG = 0x0112
_SHORT, _LONG = 3, 4
_ENTRY_BYTES = 12
_MAX_ENTRIES = 1000
_MAX_XMP_BYTES = 2**20
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation_of(exif: bytes, xmp: bytes) -> int:
    """The orientation, 1 to 8: that of EXIF (CIPA DC-008, tag 0x0112), else that of XMP, else 1.

    Damaged metadata does not make a picture unusable: it counts as missing.

    Args:
        exif: a TIFF structure, with or without ``Exif`` and two zeros before it; empty if there is none.
        xmp: an XMP packet; empty if there is none.
    """
    found = _in_first_directory(exif.removeprefix(b"Exif\0\0"))
    if found is None and (match := _IN_XMP.search(xmp, 0, _MAX_XMP_BYTES)):
        found = int(match[1])
    return found if found is not None and 1 <= found <= 8 else 1


def _in_first_directory(tiff: bytes) -> int | None:
    """The tag's value in the first directory. Other directories are not followed, so none can form a loop."""
    order = _BYTE_ORDERS.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    count = min(count, _MAX_ENTRIES, (len(tiff) - start - 2) // _ENTRY_BYTES)
    found = None
    for position in range(start + 2, start + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        tag, kind, values = struct.unpack_from(f"{order}HHI", tiff, position)
        if tag == _TAG and values == 1 and kind in (_SHORT, _LONG):
            (found,) = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", tiff, position + 8)
    return found
