"""The orientation in EXIF and XMP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facet.runtime.pictures.exif import orientation_of

XMP = b'<rdf:Description tiff:Orientation="%d"/>'


def tiff(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    values = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + (struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value))
        for tag, kind, count, value in entries
    )
    return start + struct.pack(f"{order}H", len(entries)) + values + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_both_byte_orders_and_both_types_are_read(order: str, kind: int) -> None:
    exif = tiff((0x0100, 4, 1, 640), (0x0112, kind, 1, 6), order=order)
    assert orientation_of(exif, b"") == 6
    assert orientation_of(b"Exif\0\0" + exif, b"") == 6


def test_the_orientation_that_pillow_writes_is_read() -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        assert orientation_of(exif.tobytes(), b"") == orientation


def test_xmp_counts_only_without_exif() -> None:
    assert orientation_of(b"", XMP % 8) == 8
    assert orientation_of(b"", b"<tiff:Orientation>3</tiff:Orientation>") == 3
    assert orientation_of(tiff((0x0112, 3, 1, 6)), XMP % 8) == 6


@pytest.mark.parametrize(
    "exif",
    [
        b"II*\0",
        b"II*\0" + b"\xff" * 4,
        tiff((0x8769, 4, 1, 8)),  # points at itself
        tiff((0x0112, 3, 1, 9)),
        tiff((0x0112, 3, 2**31, 6)),
        tiff((0x0112, 7, 1, 6)),
        tiff((0x0112, 3, 1, 6))[:18],
        b"II*\0\x08\0\0\0\xff\xff" + bytes(100),
    ],
)
def test_damaged_metadata_counts_as_upright(exif: bytes) -> None:
    assert orientation_of(exif, b"") == 1


@given(st.binary(max_size=100), st.binary(max_size=50))
def test_any_bytes_give_an_orientation(exif: bytes, xmp: bytes) -> None:
    assert 1 <= orientation_of(b"II*\0" + exif, xmp) <= 8
    assert 1 <= orientation_of(exif, xmp) <= 8
