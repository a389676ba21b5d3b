"""Room for the pixels of large pictures."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator

_MAX_SECONDS = 10.0
"""A picture does not wait longer, in case somebody keeps pixels for longer than it takes to look at them."""
_ANY = 2**62
"""More pixels than there are: a picture that has waited long enough does not wait for room."""


class PixelRoom:
    """Bounds how many pixels of large pictures are in memory at the same time. Safe to use from several threads.

    A picture has its pixels in memory twice while it is decoded, and once until it has been looked at.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._taken = 0

    def take(self, pixels: int, most: int, seconds: float) -> Generator[None, None, int]:
        """Wait, in order of arrival, until there is room for a picture; yield whenever this time has passed.

        Args:
            pixels: of the picture.
            most: pixels that all pictures together may have.
            seconds: between yields.

        Returns:
            what to give back when the pixels are freed.
        """
        ticket, end = object(), time.monotonic() + _MAX_SECONDS
        with self._changed:
            self._waiting.append(ticket)
        try:
            while not self._enter(ticket, pixels, most, min(seconds, _MAX_SECONDS)):
                yield
                if time.monotonic() >= end:
                    most = _ANY
        finally:
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        return pixels

    def _enter(self, ticket: object, pixels: int, most: int, seconds: float) -> bool:
        with self._changed:
            entered = self._changed.wait_for(
                lambda: self._taken + pixels <= most and (most == _ANY or self._waiting[0] is ticket), timeout=seconds
            )
            self._taken += pixels if entered else 0
        return entered

    def give_back(self, pixels: int) -> None:
        """The pixels of a picture are freed."""
        with self._changed:
            self._taken -= pixels
            self._changed.notify_all()
