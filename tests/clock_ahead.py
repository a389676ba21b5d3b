"""A clock that a test sets ahead."""

from __future__ import annotations

from datetime import datetime, timedelta

from gallery.times import now


class ClockAhead:
    """The time, as far ahead as the test sets it."""

    ahead = timedelta()

    def __call__(self) -> datetime:
        """Tell the time."""
        return now() + self.ahead
