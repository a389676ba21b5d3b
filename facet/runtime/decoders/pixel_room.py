"""Room for the pixels of large pictures."""

from __future__ import annotations

import threading
from collections import deque

_MAX_SECONDS = 10.0
"""A picture does not wait longer, in case somebody keeps pixels for longer than it takes to look at them."""


class PixelRoom:
    """Bounds how many pixels of large pictures are in memory at the same time. Safe to use from several threads.

    A picture has its pixels in memory twice while it is decoded, and once until it has been looked at.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._taken = 0

    def take(self, pixels: int, most: int) -> int:
        """Wait, in order of arrival, until there is room for a picture.

        Args:
            pixels: of the picture.
            most: pixels that all pictures together may have.

        Returns:
            what to give back when the pixels are freed.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(
                lambda: self._waiting[0] is ticket and self._taken + pixels <= most, timeout=_MAX_SECONDS
            )
            self._waiting.remove(ticket)
            self._taken += pixels
            self._changed.notify_all()
        return pixels

    def give_back(self, pixels: int) -> None:
        """The pixels of a picture are freed."""
        with self._changed:
            self._taken -= pixels
            self._changed.notify_all()
