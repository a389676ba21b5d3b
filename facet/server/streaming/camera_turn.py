"""Finds out which way up a stream's camera is, and keeps it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facet.server.scheduling.work import Work
from recognizer.pipeline import FacePipeline

CONFIRMATIONS = 2
"""Frames in a row that must agree."""
EAGER_SECONDS = 3.0
"""For so long each frame is looked at; then, without a face so far, one per second."""
_INTERVAL = 1.0


class CameraTurn:
    """The turn of a stream's frames, see :mod:`recognizer.search.orientation`.

    A look costs about as much as the detection of faces. Once the turn is known, nothing is looked at any more.

    Args:
        pipeline: the models.
        told: the turn, if the client has told it.
    """

    def __init__(self, pipeline: FacePipeline, told: int | None) -> None:
        self._pipeline = pipeline
        self._turn = told or 0
        self._agreeing = 0 if told is None else CONFIRMATIONS
        self._first = math.inf
        self._next = -math.inf

    def of(self, picture: NDArray[np.uint8], time: float, work: Work) -> int:
        """Return the turn of the next frame, BGR ``(h, w, 3)``, captured at ``time``, seconds."""
        if time < self._next - _INTERVAL:  # the client's clock went back
            self._first, self._next = math.inf, -math.inf
        if self._agreeing >= CONFIRMATIONS or time < self._next:
            return self._turn
        self._first = min(self._first, time)
        self._next = time if time < self._first + EAGER_SECONDS else time + _INTERVAL
        turn = self._pipeline.clear_turn(picture, work)
        if turn is not None:
            self._agreeing = self._agreeing + 1 if turn == self._turn else 1
            self._turn = turn
        return self._turn
