"""The latency report: percentiles of calls as a client sees them, and of the stages of the server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.intervals import Figure, none
from facet.evaluation.report.document import Report

PERCENTILES = (50, 95, 99)
STAGES = ("queue", "decode", "detect", "faces", "align", "embed", "search", "total")

_Z = 1.959963984540054
_POINTS = 200


@dataclass(frozen=True, slots=True)
class TimedCall:
    """An answered call.

    Attributes:
        image: name of the picture.
        milliseconds: from sending the request to receiving the answer.
        stages: milliseconds of each of :data:`STAGES`, as the server reports them.
    """

    image: str
    milliseconds: float
    stages: tuple[float, ...]


def percentile(values: NDArray[np.float64], percent: int) -> Figure:
    """A percentile by nearest rank, with an interval of order statistics, which assumes no distribution.

    The number of values below the percentile is binomial; its normal approximation gives the ranks of the ends (Conover
    1999, 3.2). With fewer than 100 / (100 - percent) values there is no percentile.

    Args:
        values: in any order.
        percent: above 0 and below 100.
    """
    count, share = len(values), percent / 100
    needed = math.ceil(100 / (100 - percent))
    if count < needed:
        return none(f"too few calls: {count}, {needed} needed")
    rising = np.sort(values)
    reach = _Z * math.sqrt(count * share * (1 - share))
    low, high = math.floor(count * share - reach), math.ceil(count * share + reach) + 1
    note = "" if low >= 1 and high <= count else "few calls: an end of the interval is the fastest or the slowest call"
    value = rising[math.ceil(count * share) - 1]
    return Figure(float(value), float(rising[max(low, 1) - 1]), float(rising[min(high, count) - 1]), note)


def mean(values: NDArray[np.float64]) -> Figure:
    """The mean, with a normal interval."""
    if not len(values):
        return none("no calls")
    value = float(values.mean())
    if len(values) == 1:
        return Figure(value, None, None, "one call alone has no interval")
    reach = _Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Figure(value, value - reach, value + reach)


def latency_report(calls: Sequence[TimedCall], seconds: float) -> Report:
    """The figures of timed calls.

    Args:
        calls: the answered calls.
        seconds: from the start of the first to the end of the last.
    """
    durations = _milliseconds(calls)
    return {
        **{f"p{percent}_ms": percentile(durations, percent) for percent in PERCENTILES},
        "mean_ms": mean(durations),
        "calls_per_second": len(calls) / seconds if seconds else None,
        "calls": len(calls),
        "images": len({call.image for call in calls}),
    }


def stages_table(calls: Sequence[TimedCall]) -> list[dict[str, Any]]:
    """Milliseconds of each stage, and of the time outside the server: the network and the client."""
    columns = {name: np.array([call.stages[index] for call in calls], np.float64) for index, name in enumerate(STAGES)}
    outside = _milliseconds(calls) - columns["total"]
    return [
        {
            "stage": name,
            **{f"p{percent}_ms": percentile(values, percent).value for percent in PERCENTILES},
            "mean_ms": float(values.mean()) if len(values) else None,
        }
        for name, values in {**columns, "outside": outside}.items()
    ]


def curves(calls: Sequence[TimedCall]) -> Report:
    """Cumulative distributions of the whole call and of the server's part of it."""
    if not calls:
        return {}
    total = np.array([call.stages[STAGES.index("total")] for call in calls], np.float64)
    return {
        "waiting_call": _distribution(_milliseconds(calls), "the call"),
        "waiting_server": _distribution(total, "the server's part"),
    }


def _milliseconds(calls: Sequence[TimedCall]) -> NDArray[np.float64]:
    return np.array([call.milliseconds for call in calls], np.float64)


def _distribution(values: NDArray[np.float64], label: str) -> Report:
    rising = np.sort(values)
    indices = np.unique(np.linspace(0, len(rising) - 1, min(len(rising), _POINTS)).astype(np.intp))
    return {"x": rising[indices].round(3), "y": ((indices + 1) / len(rising)).round(5), "label": label}
