"""How much time and memory the decoding of one picture may take."""

from __future__ import annotations

MAX_SECONDS = 1.5
"""A decoder is stopped after this time, whatever the picture; time in which the machine gave it no processor is not
counted, up to :data:`MAX_WAITING_SECONDS`."""
MAX_WAITING_SECONDS = 6.0
OTHER_BYTES = 64 * 2**20
USUAL_PICTURE_BYTES = 16 * 2**20
LARGE_PIXELS = 4_000_000
"""Pictures with more pixels take so much memory that they wait for each other."""

_BASE_SECONDS = 0.3
_PIXEL_SECONDS = 40e-9
_BYTE_SECONDS = 20e-9


def cpu_seconds(pixels: int, encoded_bytes: int) -> float:
    """Processor time for a picture of this size: several times what usual ones take."""
    return min(MAX_SECONDS, _BASE_SECONDS + _PIXEL_SECONDS * pixels + _BYTE_SECONDS * encoded_bytes)


def memory_bytes(max_pixels: int, encoded_bytes: int) -> int:
    """Address space for one picture: 9 bytes a permitted pixel and 64 MiB.

    Nine are six for the coefficients of a progressive JPEG and three for its pixels. The 64 MiB include the encoded
    picture and its checked copy; those of pictures over 16 MiB come on top.
    """
    return 9 * max_pixels + OTHER_BYTES + 2 * max(0, encoded_bytes - USUAL_PICTURE_BYTES)
