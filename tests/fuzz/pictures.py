"""Encoded pictures: whatever the bytes are, they are a picture or a PictureError."""

from __future__ import annotations

import importlib
import importlib.util
import io
import zlib
from collections.abc import Callable, Iterable

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from tests.unit.runtime.pictures.samples import bmp_of_runs

INSTRUMENTED = ("facet.runtime.pictures",)
MAX_PIXELS = 1 << 16
_PNG = b"\x89PNG\r\n\x1a\n"


def prepare() -> Callable[[bytes], None]:
    """See :class:`tests.fuzz.target.Target`."""
    from facet.runtime.pictures import PictureError, decode, read_header
    from facet.runtime.process import configure_for_models

    configure_for_models()

    def fuzz(data: bytes) -> None:
        try:
            header = read_header(data, max_pixels=MAX_PIXELS)
            picture = decode(data, max_pixels=MAX_PIXELS)
        except PictureError:
            return
        upright = (header.height, header.width) if header.orientation < 5 else (header.width, header.height)
        assert picture.shape == (*upright, 3)
        assert picture.dtype == np.uint8
        assert header.width * header.height <= MAX_PIXELS

    return fuzz


def seeds() -> Iterable[bytes]:
    """See :class:`tests.fuzz.target.Target`."""
    colours = np.random.default_rng(5).integers(0, 255, (6, 9, 3), np.uint8)
    image = Image.fromarray(colours)
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, options in (
        ("JPEG", {"quality": 60}),
        ("JPEG", {"progressive": True, "exif": exif}),
        ("JPEG", {"subsampling": 0, "restart_marker_blocks": 1}),
        ("PNG", {"exif": exif}),
        ("WEBP", {"exif": exif}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
    ):
        yield _encoded(image, kind, **options)
    yield _encoded(image.convert("CMYK"), "JPEG")
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        yield _encoded(
            image.convert("L").convert(mode) if mode == "LA" else image.convert("L" if mode == "I;16" else mode), "PNG"
        )
    for mode in ("1", "L", "P"):
        yield _encoded(image.convert(mode), "BMP")
    yield bmp_of_runs(9, 6, b"\x05\x10\0\x04\1\2\3\4\0\0" * 5 + b"\0\2\1\0\x08\x20\0\1")
    others = [image.rotate(90 * turn) for turn in range(3)]
    for kind in ("PNG", "WEBP", "MPO", "GIF", "AVIF"):
        yield _encoded(image, kind, save_all=True, append_images=others)
    yield _encoded(image.convert("L"), "GIF", interlace=1, transparency=7)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "lzma", "zstd"):
        yield _encoded(image.copy(), "TIFF", compression=compression, big_tiff=compression == "tiff_lzw")
    for compression in ("group3", "group4"):
        yield _encoded(image.convert("1"), "TIFF", compression=compression)
    for mode in ("L", "P", "RGBA", "CMYK", "YCbCr", "LAB"):
        yield _encoded(image.convert(mode), "TIFF", tiffinfo={274: 6})
    deep = colours.astype(np.uint16) * 4
    for ending in (".png", ".tiff", ".avif"):
        yield cv2.imencode(ending, deep, (cv2.IMWRITE_AVIF_DEPTH, 10) if ending == ".avif" else ())[1].tobytes()
    pillow_heif.register_heif_opener()
    for each in (image, image.convert("L"), image.convert("RGBA")):
        yield _encoded(each, "HEIF", quality=50, exif=exif.tobytes())
        yield _encoded(each, "AVIF", quality=50, exif=exif.tobytes())
    yield _encoded(image, "HEIF", save_all=True, append_images=others)
    if importlib.util.find_spec("imagecodecs") is not None:
        yield from _jxls(colours)


def _jxls(colours: NDArray[np.uint8]) -> Iterable[bytes]:
    encode = importlib.import_module("imagecodecs").jpegxl_encode
    for samples in (colours, colours[..., 0].copy(), np.dstack([colours, colours[..., :1]]), colours.astype(np.uint16)):
        for container in (False, True):
            yield bytes(encode(samples, lossless=container, usecontainer=container))
    yield bytes(encode(np.stack([colours] * 3)))


def repaired(data: bytes) -> bytes:
    """Make the checksums of a PNG's chunks right; see :class:`tests.fuzz.target.Target`."""
    if not data.startswith(_PNG):
        return data
    parts, position = [_PNG], len(_PNG)
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            break
        parts += data[position:end], zlib.crc32(data[position + 4 : end]).to_bytes(4, "big")
        position = end + 4
    return b"".join([*parts, data[position:]])


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
