"""Observations as stores of rows keep them: how stored counts are added up, and which hours become days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime

from gallery.observations import counts_json
from gallery.observations.counts_json import InvalidCounts
from gallery.observations.records import DAY, Counts, total

AT_ONCE = 16
"""Observations in one transaction: some milliseconds in which enrolments wait."""


def total_of(counts: Iterable[Counts], stored: Iterable[bytes]) -> Counts:
    """Add up counts; those that are stored but damaged are lost: they must not keep others from being counted."""
    summed = list(counts)
    for data in stored:
        with suppress(InvalidCounts):
            summed.append(counts_json.from_bytes(bytes(data)))
    return total(summed)


def becomes_day(source: str, day: datetime, keep_hours: Mapping[str, tuple[datetime, datetime]]) -> bool:
    """Tell whether the hours of a day are replaced by the whole day: no hour of it is to be kept.

    Args:
        source: the source of the observations.
        day: when the day begins.
        keep_hours: periods whose hours stay, by source.
    """
    first, last = keep_hours.get(source, (day, day))
    return not (first < day + DAY and day < last)
