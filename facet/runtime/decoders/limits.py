"""How much time and memory the decoding of one picture may take."""

from __future__ import annotations

LARGE_PIXELS = 4_000_000
"""A picture with more pixels is large: no worker waits for its decoding, and large pictures wait for each other,
because they take much memory."""
MAX_SECONDS = 1.5
"""Processor time for a picture that is not large."""
MAX_WAITING_SECONDS = 6.0
MAX_WAITING_SECONDS_LARGE = 30.0
"""Limits of the time in which a machine gives a decoder no processor; it does not count."""
OTHER_BYTES = 64 * 2**20
USUAL_PICTURE_BYTES = 16 * 2**20

_BASE_SECONDS = 0.5
_PIXEL_SECONDS = 120e-9
_BYTE_SECONDS = 20e-9


def cpu_seconds(pixels: int, encoded_bytes: int) -> float:
    """Processor time for a picture of this size: several times what it takes on a machine of 2020."""
    seconds = _BASE_SECONDS + _PIXEL_SECONDS * pixels + _BYTE_SECONDS * encoded_bytes
    return seconds if pixels > LARGE_PIXELS else min(MAX_SECONDS, seconds)


def memory_bytes(max_pixels: int, encoded_bytes: int) -> int:
    """Address space for one picture: 9 bytes a permitted pixel and 64 MiB.

    Nine are six for the coefficients of a progressive JPEG and three for its pixels. The 64 MiB include the encoded
    picture and its checked copy; those of pictures over 16 MiB come on top.
    """
    return 9 * max_pixels + OTHER_BYTES + 2 * max(0, encoded_bytes - USUAL_PICTURE_BYTES)
