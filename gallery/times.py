"""Times as they are stored: integer microseconds since 1970 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(time: datetime) -> int:
    """Convert a time with a time zone to microseconds since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(microseconds: int) -> datetime:
    """Convert microseconds since 1970 to a time in UTC.

    Raises:
        OverflowError: the year is not between 1 and 9999.
        TypeError: the value is not a number.
    """
    return _EPOCH + timedelta(microseconds=microseconds)
