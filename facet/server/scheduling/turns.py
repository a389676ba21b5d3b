"""Long work on a worker thread, a turn at a time, so that others do not wait for all of it."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from typing import Final, Literal, TypeVar

from facet.server.scheduling.work import Work
from recognizer.progress import Turns

T = TypeVar("T")

TURN_SECONDS = 0.05
"""How long a turn is expected to take: between a look at a decoder, and a batch of faces."""


class _Unfinished(Enum):
    UNFINISHED = "unfinished"


Unfinished = Literal[_Unfinished.UNFINISHED]
UNFINISHED: Final = _Unfinished.UNFINISHED


def take_turn(turns: Turns[T], work: Work) -> T | Unfinished:
    """Continue the work until it yields; returns its result, or :data:`UNFINISHED`."""
    try:
        next(turns)
    except StopIteration as finished:
        result: T = finished.value
        return result
    if work.abandoned:
        stop(turns)
    return UNFINISHED


def stop(turns: Turns[T]) -> None:
    """End work that has not finished, unless a thread is at it: :func:`take_turn` then ends it if it is abandoned."""
    with suppress(ValueError):  # "generator already executing"
        turns.close()
