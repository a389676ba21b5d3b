"""Small pictures and their parts, to build hostile ones from."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

ENOUGH = 1_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF")

pillow_heif.register_heif_opener()  # so that Pillow writes HEIF


def pixels(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Smooth colours, BGR ``(height, width, 3)``; the last row is not black."""
    noise = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def encode(kind: str, picture: NDArray[np.uint8] | Image.Image | None = None, **options: Any) -> bytes:
    """A picture in a format of Pillow, from BGR or as it is; by default :func:`pixels`."""
    buffer = io.BytesIO()
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray((pixels() if picture is None else picture)[..., ::-1].copy())
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def segment(marker: int, payload: bytes = b"") -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def behind_soi(jpeg: bytes, more: bytes) -> bytes:
    """A JPEG with more bytes behind its first marker."""
    return jpeg[:2] + more + jpeg[2:]


def chunk(kind: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """A chunk of a PNG; ``length`` is what it claims if that is not the truth."""
    claimed = len(body) if length is None else length
    return struct.pack(">I", claimed) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    compressed: bytes,
    *,
    before: bytes = b"",
    behind: bytes = b"",
    colour: int = 2,
    depth: int = 8,
) -> bytes:
    """A PNG with these compressed rows, and more chunks before and behind them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", compressed) + behind
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND")


def rows(width: int, height: int, value: int = 127) -> bytes:
    """Compressed rows of 8-bit colours."""
    return zlib.compress((b"\0" + bytes([value]) * 3 * width) * height, 9)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of these chunks."""
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def bmp_of_runs(width: int, height: int, runs: bytes) -> bytes:
    """A grey BMP of 8 bits whose rows are compressed as runs, the lowest row first."""
    palette = b"".join(bytes((value, value, value, 0)) for value in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + palette + runs
