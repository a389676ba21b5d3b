"""Percentiles of durations since the start and over the last minute, in constant memory."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

RELATIVE_ERROR = 0.01
"""Maximum relative error of a percentile."""
MIN_SECONDS = 1e-6
"""Shorter durations count as this long."""

_SLICE_SECONDS, _SLICES = 5.0, 12
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_BINS_PER_E = 1 / math.log(_GAMMA)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of durations.

    Attributes:
        count: number of durations; if it is 0, the percentiles are 0.
        p50: median, seconds.
        p95: 95th percentile, seconds.
        p99: 99th percentile, seconds.
    """

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over two periods.

    Attributes:
        since_start: of all durations.
        last_minute: of those in the last 55 to 60 seconds.
    """

    since_start: Percentiles
    last_minute: Percentiles


class Latencies(Generic[Name]):
    """Counts durations by name in bins that grow geometrically.

    This is the sketch of Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
    relative-error guarantees", VLDB 2019. A ring of twelve slices of five seconds makes the last minute. Use it from
    one thread.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._series: dict[Name, _Series] = {}

    def observe(self, durations: Mapping[Name, float]) -> None:
        """Count durations: seconds by name."""
        slice_number = int(self._clock() / _SLICE_SECONDS)
        for name, seconds in durations.items():
            series = self._series.get(name)
            if series is None:
                series = self._series[name] = _Series()
            series.add(math.ceil(math.log(max(seconds, MIN_SECONDS)) * _BINS_PER_E), slice_number)

    def all(self) -> dict[Name, Latency]:
        """The latency of every name that has at least one duration."""
        newest = int(self._clock() / _SLICE_SECONDS)
        return {
            name: Latency(_percentiles(series.since_start), _percentiles(series.recent(newest)))
            for name, series in self._series.items()
        }


class _Series:
    """The number of durations in each bin, since the start and in each slice of the last minute."""

    def __init__(self) -> None:
        self.since_start: dict[int, int] = {}
        self._ring: list[dict[int, int]] = [{} for _ in range(_SLICES)]
        self._numbers = [-1] * _SLICES

    def add(self, bin_number: int, slice_number: int) -> None:
        index = slice_number % _SLICES
        if self._numbers[index] != slice_number:
            self._numbers[index] = slice_number
            self._ring[index] = {}
        for bins in (self.since_start, self._ring[index]):
            bins[bin_number] = bins.get(bin_number, 0) + 1

    def recent(self, newest: int) -> dict[int, int]:
        total: Counter[int] = Counter()
        for number, bins in zip(self._numbers, self._ring, strict=True):
            if newest - _SLICES < number <= newest:
                total.update(bins)
        return total


def _percentiles(bins: Mapping[int, int]) -> Percentiles:
    count = sum(bins.values())
    if not count:
        return Percentiles(0, 0.0, 0.0, 0.0)
    p50, p95, p99 = (_quantile(bins, math.ceil(share * count)) for share in (0.5, 0.95, 0.99))
    return Percentiles(count, p50, p95, p99)


def _quantile(bins: Mapping[int, int], rank: int) -> float:
    """The duration of a rank, from 1 for the shortest: the point of its bin with the least relative error."""
    for number in sorted(bins):
        rank -= bins[number]
        if rank <= 0:
            break
    return 2 * _GAMMA**number / (_GAMMA + 1)
