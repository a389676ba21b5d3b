"""Predicts when queued work will start."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence


def start_times(free: Sequence[float], costs: Iterable[float]) -> Iterator[float]:
    """Predict when each piece of work starts, if the thread that is free first takes the next one.

    This is list scheduling (Graham 1966).

    Args:
        free: when each thread will be free, seconds; at least one.
        costs: how long each piece of work takes, seconds, in the order in which they start.

    Yields:
        the start of each piece of work, on the clock of ``free``.
    """
    threads = list(free)
    heapq.heapify(threads)
    for seconds in costs:
        start = threads[0]
        yield start
        heapq.heapreplace(threads, start + seconds)
