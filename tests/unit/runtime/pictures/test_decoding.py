"""Headers and decoding of pictures."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from facet.runtime.pictures import InvalidPicture, PictureError, PictureTooLarge, decode, from_raw, read_header
from tests.unit.runtime.pictures.samples import ENOUGH, FORMATS, encode

ORIENTATION = 0x0112


def quarters() -> Image.Image:
    """Four quarters of different colours, so that every orientation looks different."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[:8, 16:], pixels[8:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return Image.fromarray(pixels)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("kind", FORMATS)
def test_the_header_gives_format_and_size(kind: str) -> None:
    header = read_header(encode(kind, quarters()), max_pixels=ENOUGH)
    assert (header.format, header.width, header.height, header.orientation) == (kind, 32, 16, 1)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_whose_header_is_cut_off_is_named_by_its_signature(kind: str) -> None:
    name = "HEIF or AVIF" if kind in ("HEIF", "AVIF") else kind
    with pytest.raises(InvalidPicture, match=f"the {name} is truncated or damaged"):
        read_header(encode(kind, quarters())[:14], max_pixels=ENOUGH)


@pytest.mark.parametrize("data", [b"BMW 320d, 44 pictures", b"RIFF\x24\0\0\0WAVEfmt ", b"GIF90a" + bytes(20)])
def test_data_of_another_format_is_refused_with_its_first_bytes(data: bytes) -> None:
    with pytest.raises(InvalidPicture, match=f"expected one of JPEG.*the first bytes are {data[:8].hex(' ')}"):
        read_header(data, max_pixels=ENOUGH)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_every_orientation_is_undone_like_in_pillow(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(kind, quarters(), exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))[..., ::-1]
    assert np.array_equal(decode(data, max_pixels=ENOUGH), expected)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_xmp_that_contradicts_exif_does_not_turn_a_picture(kind: str, orientation: int) -> None:
    exif, xmp = Image.Exif(), b'<rdf:Description tiff:Orientation="3"/>'
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"xmp": xmp}
    if kind == "PNG":
        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    assert read_header(encode(kind, quarters(), **options), max_pixels=ENOUGH).orientation == 3
    both = encode(kind, quarters(), exif=exif, **options)
    assert read_header(both, max_pixels=ENOUGH).orientation == orientation
    only_exif = encode(kind, quarters(), exif=exif)
    assert np.array_equal(decode(both, max_pixels=ENOUGH), decode(only_exif, max_pixels=ENOUGH))


def test_an_orientation_behind_the_pixels_of_a_png_is_applied() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encode("PNG", quarters())
    end = data.rindex(b"IEND") - 4
    late = data[:end] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + data[end:]
    assert read_header(late, max_pixels=ENOUGH).orientation == 6
    assert decode(late, max_pixels=ENOUGH).shape == (32, 16, 3)


def test_reading_a_header_does_not_decode_pixels() -> None:
    data = encode("PNG", Image.new("L", (5000, 5000)))
    tracemalloc.start()
    try:
        read_header(data, max_pixels=10**9)
        with pytest.raises(PictureTooLarge):
            read_header(data, max_pixels=ENOUGH)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_the_pixel_limit_is_exact() -> None:
    data = encode("PNG", quarters())
    assert decode(data, max_pixels=32 * 16).shape == (16, 32, 3)
    with pytest.raises(PictureTooLarge, match="32x16"):
        decode(data, max_pixels=32 * 16 - 1)


def test_16_bit_pictures_become_8_bit() -> None:
    shallow = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for deep in (shallow.astype(np.uint16) * 257, np.repeat((shallow.astype(np.uint16) * 257)[..., None], 3, 2)):
        decoded = decode(cv2.imencode(".png", deep)[1].tobytes(), max_pixels=ENOUGH)
        assert decoded.dtype == np.uint8
        assert np.array_equal(decoded[..., 0], shallow)


@pytest.mark.parametrize("kind", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_samples_of_fewer_bits_in_16_are_scaled_by_the_bits_that_are_used(kind: str, bits: int) -> None:
    shallow = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = (shallow.astype(np.uint16) * 257) >> 16 - bits
    for deep in (grey, np.repeat(grey[..., None], 3, 2)):
        decoded = decode(cv2.imencode(kind, deep)[1].tobytes(), max_pixels=ENOUGH)
        assert np.array_equal(decoded[..., 0], shallow)


@given(st.binary(max_size=200), st.sampled_from(FORMATS), st.integers(0, 400))
def test_any_bytes_are_decoded_or_refused(noise: bytes, kind: str, position: int) -> None:
    data = encode(kind, quarters())
    spoilt = data[:position] + noise + data[position + len(noise) :]
    try:
        picture = decode(spoilt, max_pixels=ENOUGH)
    except PictureError:
        return
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.flags.c_contiguous


def pixels(order: str) -> tuple[bytes, NDArray[np.uint8]]:
    bgr = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    return {"bgr": bgr.tobytes(), "rgb": bgr[..., ::-1].tobytes()}[order], bgr


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_raw_pixels_become_bgr(order: Any) -> None:
    data, bgr = pixels(order)
    assert np.array_equal(from_raw(data, width=4, height=2, order=order, max_pixels=8), bgr)


def test_raw_grey_becomes_bgr() -> None:
    assert from_raw(b"\1\2", width=2, height=1, order="grey", max_pixels=8).tolist() == [[[1, 1, 1], [2, 2, 2]]]


def test_raw_pixels_must_match_their_size() -> None:
    for length in (0, 23, 25):
        with pytest.raises(InvalidPicture, match="24 bytes"):
            from_raw(bytes(length), width=4, height=2, order="bgr", max_pixels=8)
    with pytest.raises(InvalidPicture, match="no pixels"):
        from_raw(b"", width=0, height=2, order="bgr", max_pixels=8)
    with pytest.raises(PictureTooLarge):
        from_raw(b"", width=3, height=3, order="bgr", max_pixels=8)
