"""Freed memory goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
from pathlib import Path

import pytest

from facet.server.memory_return import MemoryReturn
from tests.waiting import until

PIECE, PIECES = 64 * 2**10, 2000
"""128 MB in pieces that glibc takes from its heap."""


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in status if line.startswith("VmRSS:")).split()[1]) * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
async def test_freed_memory_is_given_back_a_moment_later() -> None:
    pieces = [bytes([1]) * PIECE for _ in range(PIECES)]
    full = resident_bytes()
    del pieces[:-1]  # the last one keeps the top of the heap in use, so that glibc keeps what is below it
    kept = resident_bytes()
    assert full - kept < PIECE * PIECES // 4, "glibc gives it back by itself, so there is nothing to show"
    MemoryReturn().freed(PIECE * PIECES)
    await asyncio.to_thread(until, lambda: kept - resident_bytes() >= PIECE * PIECES // 2)
