"""How memory goes back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3
_LARGE = 4 * 2**20


def return_large_buffers() -> None:
    """Give buffers of 4 MiB and more back as soon as they are freed, where the C library is glibc.

    It would raise that limit to the largest buffer it has seen freed, and keep what is smaller among its own: pictures
    of all sizes then leave holes, and resident memory moves by a twentieth for ever. Elsewhere nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
