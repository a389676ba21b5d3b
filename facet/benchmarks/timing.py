"""How calls are timed, and how their times are summarised."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Duration of a call in milliseconds, and its result."""
    start = time.perf_counter()
    result = call()
    return (time.perf_counter() - start) * 1e3, result


def milliseconds(call: Callable[[], object]) -> float:
    """Duration of a call in milliseconds."""
    return timed(call)[0]


def median_ms(call: Callable[[], object], seconds: float) -> float:
    """Median duration in milliseconds of calls repeated for a number of seconds, after one call to warm up."""
    call()
    until = time.perf_counter() + seconds
    durations = [milliseconds(call)]
    while time.perf_counter() < until:
        durations.append(milliseconds(call))
    return statistics.median(durations)


def per_second(calls: Sequence[Callable[[], object]], seconds: float) -> float:
    """Calls per second, all together, when each call is repeated on a thread of its own for a number of seconds."""
    done = [0] * len(calls)
    start = time.perf_counter()

    def repeat(at: int) -> None:
        while time.perf_counter() < start + seconds:
            calls[at]()
            done[at] += 1

    threads = [threading.Thread(target=repeat, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile, interpolated between neighbouring values, to three digits.

    Args:
        values: at least one number.
        percent: 0 to 100.
    """
    return round(float(np.percentile(values, percent)), 3)


def observed_percentile(values: Sequence[float], percent: float) -> float | None:
    """A percentile that is one of the values, to two digits: the next one above; ``None`` if there are no values.

    A high percentile of few values is the largest of them.

    Args:
        values: any number of them.
        percent: 0 to 100.
    """
    return round(float(np.percentile(values, percent, method="higher")), 2) if len(values) else None
