"""Plots of what a server estimates without labels: shares by day, and histograms beside those of the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {"unknown_share": "unknown people", "fpir": "FPIR", "fnir": "FNIR"}
_READING_DAYS = (
    "The estimate of each day in UTC, the last one so far, with its 95 % interval. The interval is wide on days with "
    "few faces, and has no line where the counts do not tell the share."
)
_READING_BINS = (
    "The newest faces beside the reference period. The largest difference of the two distributions, summed up from the "
    "left, is the distance by which drift is judged."
)

Drawn = tuple[str, str, Callable[["Axes"], None]]
"""Title, how to read it, and a function that draws it."""


def drawn(curve: Mapping[str, Any], colours: Sequence[str]) -> Iterator[Drawn]:
    """Yield the plots of each source.

    Args:
        curve: ``days`` has the rows of :func:`facet.evaluation.online.run.by_day`, ``histograms`` those of
            :class:`facet.evaluation.online.run.OnlineRun`.
        colours: of the lines.
    """
    for source in dict.fromkeys(row["source"] for row in curve["days"]):
        rows = [row for row in curve["days"] if row["source"] == source]
        if any(row[name]["low"] is not None for row in rows for name in _NAMES):
            yield f"By day: {source}", _READING_DAYS, _days(rows, colours)
    for source, quantities in curve["histograms"].items():
        for quantity, shares in quantities.items():
            yield f"{quantity.replace('_', ' ').capitalize()}: {source}", _READING_BINS, _bins(shares, colours)


def _days(rows: Sequence[Mapping[str, Any]], colours: Sequence[str]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for colour, (name, label) in zip(colours, _NAMES.items(), strict=False):
            known = [(place, row[name]) for place, row in enumerate(rows) if row[name]["low"] is not None]
            at = [place for place, _ in known]
            low, high = ([each[key] for _, each in known] for key in ("low", "high"))
            value = [np.nan if each["value"] is None else each["value"] for _, each in known]
            axes.fill_between(at, low, high, color=colour, alpha=0.2, lw=0)
            axes.plot(at, value, color=colour, label=label, marker="o", ms=3)
        axes.set_xticks(range(len(rows)), [row["day"][5:] for row in rows], rotation=45)
        axes.set_ylim(0, 1.01)
        axes.set_ylabel("share")
        axes.legend(loc="best")

    return draw


def _bins(shares: Mapping[str, Any], colours: Sequence[str]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        edges = np.array(shares["edges"], np.float64)
        for colour, name in zip(colours, ("reference", "recent"), strict=False):
            axes.stairs(shares[name], edges, fill=True, color=colour, alpha=0.35, label=name)
        filled = np.flatnonzero(np.array(shares["recent"]) + np.array(shares["reference"]))
        axes.set_xlim(edges[filled[0]], edges[filled[-1] + 1])
        axes.set_ylabel("share")
        axes.legend(loc="best")

    return draw
