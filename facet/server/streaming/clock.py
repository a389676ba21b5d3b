"""Lateness of frames when the clocks of client and server differ."""

from __future__ import annotations

import math

_HALF_WINDOW = 30.0
"""Seconds. The fastest frame counts for one to two half windows, so clocks may also drift."""


class StreamClock:
    """Compares capture times, by the client's clock, with arrival times, by the server's.

    The offset of the clocks cannot be told from the time that frames take. So the fastest recent frame is assumed to
    have taken no time, as LEDBAT assumes of packets (RFC 6817); what other frames take longer is their lateness.
    """

    def __init__(self) -> None:
        self._minimum = self._minimum_before = math.inf
        self._window_start = -math.inf

    def lateness(self, captured: float, arrival: float) -> float:
        """How much longer a frame took from capture to arrival than the fastest recent frame, seconds.

        Args:
            captured: seconds of the client's clock.
            arrival: seconds of the server's clock, never decreasing.
        """
        if arrival - self._window_start >= _HALF_WINDOW:
            self._minimum_before, self._minimum, self._window_start = self._minimum, math.inf, arrival
        duration = arrival - captured
        self._minimum = min(self._minimum, duration)
        return duration - min(self._minimum, self._minimum_before)
