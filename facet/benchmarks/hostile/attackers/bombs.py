"""Pictures that cost far more to decode than to send. Each has at most 16 MB."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image

_PNG = b"\x89PNG\r\n\x1a\n"
_MEGAPIXELS_50 = (10_000, 5_000)
_BLOCK = 1 << 20
_ADLER = 65_521
_CHECKED = 64


def large_picture() -> bytes:
    """A valid JPEG of 50 million pixels, the most that is allowed by default."""
    return _jpeg(np.zeros((_MEGAPIXELS_50[1], _MEGAPIXELS_50[0], 3), np.uint8))


def png_length() -> bytes:
    """A PNG whose chunk claims 3.8 GB."""
    rows = zlib.compress(bytes(49 * 16))
    return _png(16, 16, rows, claimed=0xE7E7E783)


def png_inflates() -> bytes:
    """A PNG of 100x100 pixels that inflates to 16 GB."""
    return _png(100, 100, deflated_zeros(16_000))


def png_text() -> bytes:
    """A PNG with 1.3 million empty comments."""
    plain = zlib.compress(b"".join(b"\0" + bytes(300) for _ in range(100)))
    return _png(100, 100, plain, extra=_chunk(b"tEXt", b"") * 1_300_000)


def png_compressed_text() -> bytes:
    """A PNG with comments and a colour profile that inflate to gigabytes."""
    plain, bomb = zlib.compress(b"".join(b"\0" + bytes(300) for _ in range(100))), deflated_zeros(4_000)
    extra = _chunk(b"iCCP", b"profile\0\0" + bomb) + _chunk(b"zTXt", b"comment\0\0" + bomb)
    return _png(100, 100, plain, extra=extra)


def png_chunks_of_pixels() -> bytes:
    """A PNG whose pixels come in 1.3 million empty chunks."""
    plain = zlib.compress(b"".join(b"\0" + bytes(300) for _ in range(100)))
    return _png(100, 100, plain, extra=_chunk(b"IDAT", b"") * 1_300_000)


def jpeg_markers() -> bytes:
    """A JPEG with four million empty APP1 segments."""
    photo = _jpeg(_noise(100))
    return photo[:2] + b"\xff\xe1\0\x02" * 4_000_000 + photo[2:]


def jpeg_fill() -> bytes:
    """A JPEG with sixteen million fill bytes."""
    photo = _jpeg(_noise(100))
    return photo[:2] + b"\xff" * 16_000_000 + photo[2:]


def jpeg_scans() -> bytes:
    """A progressive JPEG of 49 million pixels with 32 scans of a few bytes each, all of them valid.

    A decoder goes over all coefficients of the picture for every scan (ITU-T T.81, annex G). The scans say in long runs
    that no coefficient changes.
    """
    side = 7000
    blocks = math.ceil(side / 8) ** 2
    start = _segment(0xDB, bytes(1) + bytes([1]) * 64) + _segment(
        0xC2, struct.pack(">BHHB3B", 8, side, side, 1, 1, 0x11, 0)
    )
    tables = _segment(0xC4, b"\0\1" + bytes(16)) + _segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
    first = _scan(0, 0, bytes(blocks // 8) + b"\x7f")
    # A run of at least 2^14 blocks is one bit, which names its length, and 14 more bits, all of them 0.
    unchanged = bytes(math.ceil(15 * math.ceil(blocks / 2**14) / 8))
    coefficients = [_scan(at, at, unchanged) for at in range(1, 32)]
    return b"\xff\xd8" + start + tables + first + b"".join(coefficients) + b"\xff\xd9"


def jpeg_truncated() -> bytes:
    """A JPEG of 48 million pixels whose data ends after its headers, so that the rest is made up."""
    return _jpeg(np.zeros((6000, 8000, 3), np.uint8))[:700]


def webp_large() -> bytes:
    """A lossless WebP of 50 million pixels, of 34 bytes."""
    sink = io.BytesIO()
    Image.new("RGB", _MEGAPIXELS_50).save(sink, "WEBP", lossless=True, method=0)
    return sink.getvalue()


def webp_animation() -> bytes:
    """An animated WebP."""
    sink = io.BytesIO()
    frames = [Image.new("RGB", (1000, 1000), (at, 0, 0)) for at in range(50)]
    frames[0].save(sink, "WEBP", save_all=True, append_images=frames[1:], lossless=True, method=0, duration=1)
    return sink.getvalue()


def bmp_rle() -> bytes:
    """A run-length encoded BMP of 50 million pixels, most of which its data skips."""
    width, height = _MEGAPIXELS_50
    runs = b"\0\0" * 4_000_000  # each ends a row: more rows than the picture has
    palette = bytes(1024)
    offset = 14 + 40 + len(palette)
    header = struct.pack("<2sIHHI", b"BM", offset + len(runs), 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return header + info + palette + runs


def bmp_claims() -> bytes:
    """A BMP that claims 50 million pixels and holds none."""
    width, height = _MEGAPIXELS_50
    header = struct.pack("<2sIHHI", b"BM", 54 + 3 * width * height, 0, 0, 54)
    return header + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


BOMBS: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "png-length": ("a PNG whose chunk claims 3.8 GB", png_length),
    "png-inflates": ("a PNG of 100x100 pixels that inflates to 16 GB", png_inflates),
    "png-text": ("a PNG with 1.3 million comments", png_text),
    "png-compressed-text": ("a PNG whose comment and colour profile inflate to 4 GB each", png_compressed_text),
    "png-chunks": ("a PNG with 1.3 million chunks of pixels", png_chunks_of_pixels),
    "jpeg-markers": ("a JPEG with 4 million segments", jpeg_markers),
    "jpeg-fill": ("a JPEG with 16 million fill bytes", jpeg_fill),
    "jpeg-scans": ("a progressive JPEG of 49 million pixels with 32 scans", jpeg_scans),
    "jpeg-truncated": ("a JPEG that claims 48 million pixels and ends at once", jpeg_truncated),
    "webp-large": ("a WebP of 50 million pixels in 34 bytes", webp_large),
    "webp-animation": ("an animated WebP with 50 frames of a million pixels", webp_animation),
    "bmp-rle": ("a run-length encoded BMP of 50 million pixels", bmp_rle),
    "bmp-claims": ("a BMP that claims 50 million pixels and holds none", bmp_claims),
}
"""What they are, and what makes them, by name."""


def deflated_zeros(megabytes: int, *, gzip: bool = False) -> bytes:
    """A deflate stream of zeros, with the header and checksum of zlib or gzip.

    Args:
        megabytes: that it inflates to.
        gzip: whether it is for gzip instead of zlib.
    """
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    # Every block after a full flush encodes to the same bytes, so one is compressed and the others are copies.
    body = block * megabytes + packer.flush()
    if gzip:
        crc = 0
        for _ in range(min(megabytes, _CHECKED)):  # whoever inflates more has been harmed before the checksum
            crc = zlib.crc32(bytes(_BLOCK), crc)
        return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + struct.pack("<II", crc, megabytes * _BLOCK % 2**32)
    return b"\x78\xda" + body + (((megabytes * _BLOCK) % _ADLER) << 16 | 1).to_bytes(4, "big")


def _chunk(kind: bytes, data: bytes, claimed: int | None = None) -> bytes:
    length = len(data) if claimed is None else claimed
    return length.to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _png(width: int, height: int, pixels: bytes, extra: bytes = b"", claimed: int | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = _chunk(b"IEND", b"") if claimed is None else b""
    return _PNG + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", pixels, claimed) + end


def _noise(side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def _jpeg(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


def _segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + (len(data) + 2).to_bytes(2, "big") + data


def _scan(first: int, last: int, data: bytes) -> bytes:
    """A scan of a JPEG with one component: of the coefficients from the first to the last."""
    return _segment(0xDA, bytes((1, 1, 0, first, last, 0))) + data
