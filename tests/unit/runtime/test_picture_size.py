"""The size of a picture by its first bytes."""

from __future__ import annotations

import io

import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facet.runtime.picture_size import claimed_pixels

pillow_heif.register_heif_opener()

SIGNATURES = (
    b"",
    b"\xff\xd8",
    b"\x89PNG\r\n\x1a\n",
    b"BM",
    b"GIF89a",
    b"\0\0\0\x18ftypheicispe",
    b"II*\0",
    b"MM\0+",
    b"RIFF....WEBPVP8 ",
    b"RIFF....WEBPVP8L",
    b"RIFF....WEBPVP8X",
)


def encoded(format_: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (321, 123), "red").save(file, format_, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        encoded("JPEG"),
        encoded("JPEG", progressive=True, exif=bytes(60_000), comment=b"a comment"),
        encoded("PNG"),
        encoded("BMP"),
        encoded("AVIF"),
        encoded("GIF"),
        encoded("TIFF"),
        encoded("TIFF", big_tiff=True),
        encoded("WEBP"),
        encoded("WEBP", lossless=True),
        encoded("WEBP", exif=b"Exif\0\0II*\0"),
    ],
)
def test_the_size_is_that_of_the_picture(data: bytes) -> None:
    assert claimed_pixels(data) == 321 * 123


def test_the_size_of_a_heif_is_that_of_its_blocks_at_the_least() -> None:
    assert 321 * 123 <= claimed_pixels(encoded("HEIF")) <= 324 * 128


def test_a_jpeg_that_does_not_tell_its_size_early_is_judged_by_its_length() -> None:
    empty_segments = b"\xff\xd8" + b"\xff\xe1\x00\x02" * 250_000
    assert 10**6 < claimed_pixels(empty_segments) < 10**7


@given(st.sampled_from(SIGNATURES), st.binary(max_size=100))
def test_any_bytes_have_a_size(signature: bytes, rest: bytes) -> None:
    assert 0 <= claimed_pixels(signature + rest) < 2**65
