"""When a stream is tried again, and after how long."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

FINAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""What a stream ends with where another one would end the same."""
GALLERY_UNUSABLE = frozenset({"GALLERY_NOT_FOUND", "CONTRACT_MISMATCH"})
"""Reasons after which no other picture can be answered in this gallery either."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0


def pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt: twice as long every time, up to a bound."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)
