"""How late a frame is, by clocks that do not agree."""

from __future__ import annotations

import math

_HALF_WINDOW = 30.0
"""Seconds: for once to twice as long the quickest frame counts, so that clocks may also drift apart."""


class StreamClock:
    """Compares when frames were captured, by the client's clock, with when they arrived, by the server's.

    How far the clocks are apart cannot be told from how long frames take. The quickest frame of late is taken to have
    taken no time, as LEDBAT does with packets (RFC 6817): what is beyond it is lateness.
    """

    def __init__(self) -> None:
        self._least = self._least_before = math.inf
        self._since = -math.inf

    def lateness(self, captured: float, arrival: float) -> float:
        """How much longer than the quickest of late a frame took from its capture to its arrival, seconds.

        Args:
            captured: seconds of the client's clock.
            arrival: seconds of the server's clock, never falling.
        """
        if arrival - self._since >= _HALF_WINDOW:
            self._least_before, self._least, self._since = self._least, math.inf, arrival
        took = arrival - captured
        self._least = min(self._least, took)
        return took - min(self._least, self._least_before)
