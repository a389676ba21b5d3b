"""Long work on a worker thread, a turn at a time, so that others do not wait for all of it."""

from __future__ import annotations

import time
from enum import Enum
from typing import Final, Literal, TypeVar

from recognizer.progress import Turns

T = TypeVar("T")

TURN_SECONDS = 0.1
"""How long work keeps its thread before it gives it up where it can be interrupted."""


class _Unfinished(Enum):
    UNFINISHED = "unfinished"


Unfinished = Literal[_Unfinished.UNFINISHED]
UNFINISHED: Final = _Unfinished.UNFINISHED


def take_turn(turns: Turns[T], seconds: float) -> T | Unfinished:
    """Continue work until it is done or this time has passed; returns its result, or :data:`UNFINISHED`."""
    end = time.monotonic() + seconds
    while True:
        try:
            next(turns)
        except StopIteration as finished:
            result: T = finished.value
            return result
        if time.monotonic() >= end:
            return UNFINISHED
