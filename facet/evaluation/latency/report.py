"""How long calls take, as a client sees it, and the stages that the server tells."""

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
class Call:
    """One call that was answered.

    Attributes:
        image: the picture it was made with.
        milliseconds: from before the request was sent until the answer was there.
        stages: milliseconds of each of :data:`STAGES`, as the server told.
    """

    image: str
    milliseconds: float
    stages: tuple[float, ...]


def percentile(values: NDArray[np.float64], percent: int) -> Figure:
    """A percentile by the nearest rank, with the interval of its order statistics, which assumes no distribution.

    The number of values below it is binomial; its normal approximation says which ranks bound it (Conover 1999, 3.2).
    Fewer values than 100 / (100 - percent) do not yield one.

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
    note = "" if low >= 1 and high <= count else "few calls: an end of the interval is the most extreme call there was"
    value = rising[math.ceil(count * share) - 1]
    return Figure(float(value), float(rising[max(low, 1) - 1]), float(rising[min(high, count) - 1]), note)


def mean(values: NDArray[np.float64]) -> Figure:
    """The mean, with the interval of the normal distribution that the means of many calls have."""
    if not len(values):
        return none("no calls")
    value = float(values.mean())
    if len(values) == 1:
        return Figure(value, None, None, "of one call alone there is no interval")
    reach = _Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Figure(value, value - reach, value + reach)


def latency_report(calls: Sequence[Call], seconds: float) -> Report:
    """The figures of timed calls.

    Args:
        calls: that were answered.
        seconds: from the start of the first to the end of the last.
    """
    waits = _of_calls(calls)
    return {
        **{f"p{percent}_ms": percentile(waits, percent) for percent in PERCENTILES},
        "mean_ms": mean(waits),
        "calls_per_second": len(calls) / seconds if seconds else None,
        "calls": len(calls),
        "images": len({call.image for call in calls}),
    }


def stages_table(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Percentiles of each stage in milliseconds, and of what is outside the server: the wire and the client."""
    columns = {name: np.array([call.stages[at] for call in calls], np.float64) for at, name in enumerate(STAGES)}
    outside = _of_calls(calls) - columns["total"]
    return [
        {
            "stage": name,
            **{f"p{percent}_ms": percentile(values, percent).value for percent in PERCENTILES},
            "mean_ms": float(values.mean()) if len(values) else None,
        }
        for name, values in {**columns, "outside": outside}.items()
    ]


def curves(calls: Sequence[Call]) -> Report:
    """For the call and for the server's part of it: the share of calls that took no longer."""
    if not calls:
        return {}
    total = np.array([call.stages[STAGES.index("total")] for call in calls], np.float64)
    return {
        "waiting_call": _distribution(_of_calls(calls), "the call"),
        "waiting_server": _distribution(total, "the server's part"),
    }


def _of_calls(calls: Sequence[Call]) -> NDArray[np.float64]:
    return np.array([call.milliseconds for call in calls], np.float64)


def _distribution(values: NDArray[np.float64], label: str) -> Report:
    rising = np.sort(values)
    chosen = np.unique(np.linspace(0, len(rising) - 1, min(len(rising), _POINTS)).astype(np.intp))
    return {"x": rising[chosen].round(3), "y": ((chosen + 1) / len(rising)).round(5), "label": label}
