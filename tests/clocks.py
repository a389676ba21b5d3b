"""Clocks for tests."""

from __future__ import annotations

from datetime import datetime


class SetClock:
    """A clock that a test sets.

    Args:
        time: what it shows until the test sets another one.
    """

    def __init__(self, time: datetime) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time
