"""Percentiles of durations, since the start and over the last minute, in little memory."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

RELATIVE_ERROR = 0.01
"""A percentile is off by this share of itself at the most."""
LEAST_SECONDS = 1e-6
"""What is shorter is counted as this long."""

_SLICE_SECONDS, _SLICES = 5.0, 12
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_BINS_PER_E = 1 / math.log(_GAMMA)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """What a share of durations did not exceed.

    Attributes:
        count: durations; where there are none, the others are 0.
        p50: half of them took no longer, seconds.
        p95: 95 % did not.
        p99: 99 % did not.
    """

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something takes.

    Attributes:
        since_start: of all durations.
        last_minute: of those of the last 55 to 60 seconds.
    """

    since_start: Percentiles
    last_minute: Percentiles


class Latencies(Generic[Name]):
    """Durations by name: each falls into a bin whose borders are a factor apart, and only bins are kept.

    That is the sketch of Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
    relative-error guarantees", VLDB 2019. The last minute is a ring of slices of five seconds, added up when asked for.
    To be used from one thread.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._series: dict[Name, _Series] = {}

    def observe(self, durations: Mapping[Name, float]) -> None:
        """Count durations, seconds by name."""
        slice_number = int(self._clock() / _SLICE_SECONDS)
        for name, seconds in durations.items():
            series = self._series.get(name)
            if series is None:
                series = self._series[name] = _Series()
            series.add(math.ceil(math.log(max(seconds, LEAST_SECONDS)) * _BINS_PER_E), slice_number)

    def all(self) -> dict[Name, Latency]:
        """Those of every name that a duration was counted of."""
        newest = int(self._clock() / _SLICE_SECONDS)
        return {
            name: Latency(_percentiles(series.since_start), _percentiles(series.recent(newest)))
            for name, series in self._series.items()
        }


class _Series:
    """How many durations are in each bin, ever and in each of the last slices."""

    def __init__(self) -> None:
        self.since_start: dict[int, int] = {}
        self._ring: list[dict[int, int]] = [{} for _ in range(_SLICES)]
        self._numbers = [-1] * _SLICES

    def add(self, place: int, slice_number: int) -> None:
        index = slice_number % _SLICES
        if self._numbers[index] != slice_number:
            self._numbers[index] = slice_number
            self._ring[index] = {}
        for bins in (self.since_start, self._ring[index]):
            bins[place] = bins.get(place, 0) + 1

    def recent(self, newest: int) -> dict[int, int]:
        together: Counter[int] = Counter()
        for number, bins in zip(self._numbers, self._ring, strict=True):
            if newest - _SLICES < number <= newest:
                together.update(bins)
        return together


def _percentiles(bins: Mapping[int, int]) -> Percentiles:
    count = sum(bins.values())
    if not count:
        return Percentiles(0, 0.0, 0.0, 0.0)
    p50, p95, p99 = (_quantile(bins, math.ceil(share * count)) for share in (0.5, 0.95, 0.99))
    return Percentiles(count, p50, p95, p99)


def _quantile(bins: Mapping[int, int], rank: int) -> float:
    """The duration of a rank, the shortest being 1: the middle of its bin, as far from one border as from the other."""
    for place in sorted(bins):
        rank -= bins[place]
        if rank <= 0:
            break
    return 2 * _GAMMA**place / (_GAMMA + 1)
