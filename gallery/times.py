"""The time now, ids in the order of time, and times as they are stored: integer microseconds since 1970 in UTC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import uuid_utils

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST, LATEST = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))
"""The first and the last time that can be stored and sent, of the years 1 and 9999."""
_LAST_NANOSECOND = (1 << 63) - 1
_ADJUSTED = timedelta(seconds=1)
"""A clock that goes back no more is being adjusted, as NTP does all the time."""

Clock = Callable[[], datetime]
"""Tells the time in UTC, as :func:`now` does."""


class RisingClock:
    """A clock that never goes back: what has expired by it stays expired when the machine's clock is set back.

    Args:
        clock: the clock that it follows, and waits for after that went back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = EARLIEST
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """Return the latest time that the clock has told."""
        moment = self._clock()
        with self._lock:
            self._latest = max(self._latest, moment)
            return self._latest

    @property
    def is_waiting(self) -> bool:
        """Whether the clock that it follows has gone back by more than a second, and is not there again."""
        with self._lock:
            return self._latest - self._clock() > _ADJUSTED


def now() -> datetime:
    """Return the time of the machine's clock in UTC; :data:`EARLIEST` or :data:`LATEST` if the clock is beyond them."""
    microseconds = _clock() // 1000
    return from_microseconds(min(max(microseconds, to_microseconds(EARLIEST)), to_microseconds(LATEST)))


def microseconds_ago(age: timedelta) -> int:
    """Return when a time of this age was, in microseconds since 1970."""
    return to_microseconds(now()) - microseconds_of(age)


def new_id() -> str:
    """Return a new UUIDv7: ids sort by the time they are made, if the clock neither goes back nor is before 1970."""
    nanoseconds = _clock()
    if 0 <= nanoseconds < _LAST_NANOSECOND:
        return str(uuid_utils.uuid7())
    # UUIDv7 begins in 1970: for a clock before, the library ends the thread instead of raising an error.
    return str(uuid_utils.uuid7(nanoseconds=0 if nanoseconds < 0 else _LAST_NANOSECOND))


def earliest(*moments: datetime | None) -> datetime | None:
    """Return the earliest of some times; ``None`` is later than any."""
    return min((each for each in moments if each is not None), default=None)


def microseconds_of(duration: timedelta) -> int:
    """Convert a duration to microseconds."""
    return duration // timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Convert a time with a time zone to microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(microseconds: int) -> datetime:
    """Convert microseconds since 1970 to a time in UTC.

    Raises:
        OverflowError: the year is not between 1 and 9999.
        TypeError: the value is not a number.
    """
    return _EPOCH + timedelta(microseconds=microseconds)


def _clock() -> int:
    """Nanoseconds since 1970 of the machine's clock."""
    try:
        return time.time_ns()
    except OverflowError:  # after the year 2262
        return to_microseconds(LATEST) * 1000
