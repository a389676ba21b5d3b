"""Plots of a report's curves as inline SVG. The same report gives the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from facet.evaluation.report import online_plots
from facet.evaluation.report.document import Report, value_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE: Any = {
    "svg.hashsalt": "facet",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#333333",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
}
COLOURS = ("#1f5fa8", "#c2521d", "#2e7d4f", "#7a4fa3", "#8a6d1a", "#4a4a4a")
DEPLOYED = "#b00020"
_BANDS = {
    "visible": (0.02, 0.3, "#6b6b6b", 1.0),
    "hidden": (0.02, 0.3, "#6b6b6b", 0.3),
    "named": (-0.32, 0.3, "#2e7d4f", 1.0),
    "false": (-0.32, 0.3, DEPLOYED, 1.0),
}
"""The bands of a timeline: offset in the row, height, colour and opacity."""
_SIZE = (5.2, 3.6)
_IF_INDEPENDENT = "fpir_if_independent"
_ID = re.compile(r' id="([^"]+)"')
_REFERENCE = re.compile(r'(?:href="#|url\(#)([^")]+)')


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot for the page.

    Attributes:
        title: its title.
        reading: how to read it, in a few sentences.
        svg: an SVG element.
    """

    title: str
    reading: str
    svg: str


def plots(report: Report) -> Iterator[Plot]:
    """Yield the plots of a report, the most important first."""
    curves: Mapping[str, Any] = report["curves"]
    if "timeline" in curves:
        yield _timeline(curves["timeline"])
    if "roc" in curves:
        yield _roc(report, curves["roc"])
    if "det" in curves:
        yield _det(report, curves["det"])
    histograms = [name for name in curves if name.startswith("scores_") and any(curves[name]["counts"])]
    if histograms:
        yield _similarities(report, {name: curves[name] for name in histograms})
    if trade_offs := [name for name in curves if name.startswith("precision_recall")]:
        yield _precision_recall(report, {name: curves[name] for name in trade_offs})
    if sizes := report["tables"].get("by_gallery_size"):
        yield _error_by_size(sizes)
    if waits := [name for name in curves if name.startswith("waiting")]:
        yield _call_times({name: curves[name] for name in waits})
    if "online" in curves:
        yield from (
            Plot(title, reading, svg(draw)) for title, reading, draw in online_plots.drawn(curves["online"], COLOURS)
        )
    for name, curve in curves.items():
        if "series" in curve:
            yield _sweep(name, curve)


def _timeline(curve: Mapping[str, Any]) -> Plot:
    rows = curve["rows"]

    def draw(axes: Axes) -> None:
        for place, row in enumerate(reversed(rows)):
            for kind, (low, height, colour, alpha) in _BANDS.items():
                spans = [(start, end - start) for start, end in row.get(kind, ())]
                axes.broken_barh(spans, (place + low, height), facecolors=colour, alpha=alpha, lw=0)
        axes.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)], parse_math=False)
        axes.set_xlim(0, curve["end"])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("seconds")
        axes.grid(visible=False, axis="y")

    reading = (
        "Upper band, grey: when the labels have the subject's face, pale if it is hidden. Lower band: when a track"
        " had that name, green if it was right, red if it was false. There should be green below all of the dark "
        "grey."
    )
    return Plot("Who was there, and who was named", reading, svg(draw))


def _roc(report: Report, curve: Mapping[str, Any]) -> Plot:
    def draw(axes: Axes) -> None:
        x, y = _points(curve)
        start = _axis_start(report, "impostors", x)
        axes.plot(np.maximum(x, start), y, color=COLOURS[0], drawstyle="steps-post")
        axes.set_xscale("log")
        axes.set_xlim(start, 1)
        far, recall = value_of(report, "far"), value_of(report, "recall")
        missed = 1 - min(float(y[x <= start].max(initial=0.0)), 1.0 if recall is None else recall)
        bottom = max(0.0, 1 - max(0.02, 1.3 * missed))
        axes.set_ylim(bottom, 1 + 0.02 * (1 - bottom))
        _mark_deployed(axes, far, recall, start)
        axes.set_xlabel("false accept rate (nonmated pairs accepted)")
        axes.set_ylabel("true accept rate (mated pairs accepted)")

    reading = (
        "Each point is a threshold, lower to the right: more mated pairs are accepted, and more nonmated pairs as "
        "well. Choose the false accept rate that you can bear and read how many mated pairs are accepted. Higher "
        "is better."
    )
    return Plot("ROC", reading, svg(draw))


def _det(report: Report, curve: Mapping[str, Any]) -> Plot:
    is_identification = report["kind"] == "identification"
    horizontal, vertical = ("fpir", "fnir") if is_identification else ("far", "frr")
    names = (
        ("FPIR: unknown people taken for somebody", "FNIR: enrolled people missed")
        if is_identification
        else ("false accept rate", "false reject rate")
    )

    def draw(axes: Axes) -> None:
        x, y = _points(curve)
        min_x = _axis_start(report, "nonmated" if is_identification else "impostors", x)
        min_y = _axis_start(report, "mated" if is_identification else "genuine", y)
        axes.plot(np.maximum(x, min_x), np.maximum(y, min_y), color=COLOURS[0], drawstyle="steps-post")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(min_x, 1)
        axes.set_ylim(min_y, 1)
        _mark_deployed(axes, value_of(report, horizontal), value_of(report, vertical), min_x, min_y)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])

    reading = (
        "The two error rates against each other, on logarithmic axes. Choose the rate of one error that you can "
        "bear and read the rate of the other. Closer to the lower left corner is better. Where the curve runs "
        "along an edge, the set is too small."
    )
    return Plot("DET", reading, svg(draw))


def _similarities(report: Report, histograms: Mapping[str, Any]) -> Plot:
    def draw(axes: Axes) -> None:
        ends: list[float] = []
        floor = 1.0
        for colour, (name, histogram) in zip(COLOURS, histograms.items(), strict=False):
            counts, edges = np.array(histogram["counts"], np.float64), np.array(histogram["edges"], np.float64)
            shares, floor = counts / counts.sum(), min(floor, 0.7 / float(counts.sum()))
            label = f"{name.removeprefix('scores_')} ({int(counts.sum())})"
            axes.stairs(np.maximum(shares, 1e-9), edges, baseline=1e-9, fill=True, color=colour, alpha=0.35)
            axes.stairs(np.maximum(shares, 1e-9), edges, baseline=1e-9, color=colour, lw=1.2, label=label)
            ends += [float(edges[np.flatnonzero(counts)[0]]), float(edges[np.flatnonzero(counts)[-1] + 1])]
        threshold = value_of(report, "deployed_threshold")
        if threshold is not None:
            axes.axvline(threshold, color=DEPLOYED, lw=1.2, ls="--", label=f"threshold {threshold:.3g}")
            ends.append(threshold)
        axes.set_xlim(min(ends) - 0.02, max(ends) + 0.02)
        axes.set_yscale("log")
        axes.set_ylim(floor, 1)
        axes.set_xlabel("similarity (cosine)")
        axes.set_ylabel("share")
        axes.legend(loc="upper right")

    reading = (
        "Histograms of mated and nonmated similarities, on a logarithmic axis that shows the few that overlap. "
        "Everything to the right of the dashed line is accepted. The less the two overlap, the fewer mistakes."
    )
    return Plot("Similarities", reading, svg(draw))


def _precision_recall(report: Report, curves: Mapping[str, Any]) -> Plot:
    def draw(axes: Axes) -> None:
        for index, (name, curve) in enumerate(curves.items()):
            x, y = _points(curve)
            label = curve.get("label") or name.removeprefix("precision_recall").strip("_")
            axes.plot(x, y, color=COLOURS[index % len(COLOURS)], label=label or None)
        _mark_deployed(axes, value_of(report, "recall"), value_of(report, "precision"))
        axes.set_xlim(0, 1.005)
        axes.set_ylim(0, 1.01)
        axes.set_xlabel("recall (labels that are found)")
        axes.set_ylabel("precision (detections that are right)")
        if len(curves) > 1:
            axes.legend(loc="lower left")

    reading = (
        "Each point is a minimum score, lower to the right: more is found, and more of it is wrong. Closer to the "
        "upper right corner is better. AP is the area under the curve."
    )
    return Plot("Precision and recall", reading, svg(draw))


def _error_by_size(rows: Sequence[Mapping[str, Any]]) -> Plot:
    figures = [name for name in rows[0] if isinstance(rows[0][name], Mapping)]

    def draw(axes: Axes) -> None:
        for index, name in enumerate(figures):
            known = [row for row in rows if row[name] and row[name]["value"] is not None]
            x = np.array([row["subjects"] for row in known], np.float64)
            value, low, high = (
                np.array([row[name][end] for row in known], np.float64) for end in ("value", "low", "high")
            )
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(x, value, "o-", ms=4, color=colour, label=name)
            axes.fill_between(x, low, high, color=colour, alpha=0.12, lw=0)
        if all(row.get(_IF_INDEPENDENT) is not None for row in rows):
            values = [row[_IF_INDEPENDENT] for row in rows]
            axes.plot(
                [row["subjects"] for row in rows], values, "--", color="#888888", lw=1.2, label="fpir if independent"
            )
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        sizes = sorted({float(row["subjects"]) for row in rows})
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("subjects in the gallery")
        axes.set_ylabel("rate, with 95 % interval")
        axes.legend(loc="best")

    reading = (
        "The same probes against parts of the gallery: how the errors grow with the number of enrolled people. The"
        " bands are 95 % intervals. The dashed line is the FPIR predicted if every subject is an independent "
        "chance of a mistake."
    )
    return Plot("Error against the size of the gallery", reading, svg(draw))


def _call_times(curves: Mapping[str, Any]) -> Plot:
    def draw(axes: Axes) -> None:
        for index, (name, curve) in enumerate(curves.items()):
            x, y = _points(curve)
            label = curve.get("label") or name.removeprefix("waiting").strip("_") or None
            axes.plot(x, y, color=COLOURS[index % len(COLOURS)], drawstyle="steps-post", label=label)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.01)
        axes.set_xlabel("milliseconds")
        axes.set_ylabel("share of calls finished")
        axes.legend(loc="lower right")

    reading = "The share of calls that finished within a given number of milliseconds. Further left is faster."
    return Plot("How long calls take", reading, svg(draw))


def _sweep(name: str, curve: Mapping[str, Any]) -> Plot:
    def draw(axes: Axes) -> None:
        for colour, (label, values) in zip(COLOURS, curve["series"].items(), strict=False):
            axes.plot(curve["x"], values, color=colour, label=label)
        if curve.get("mark") is not None:
            axes.axvline(curve["mark"], color=DEPLOYED, lw=1.2, ls="--", label="as deployed")
        axes.set_ylim(0, 1.01)
        axes.set_xlabel(curve.get("label", ""))
        axes.legend(loc="best")

    reading = "Each figure at other settings of the server. The dashed line is the deployed setting."
    return Plot(name.replace("_", " ").capitalize(), reading, svg(draw))


def _points(curve: Mapping[str, Any]) -> tuple[Any, Any]:
    return np.array(curve["x"], np.float64), np.array(curve["y"], np.float64)


def _axis_start(report: Report, count: str, rates: Any) -> float:
    """The start of a logarithmic axis of rates: below the rate of one error."""
    items = value_of(report, count)
    if items:
        return 0.7 / items
    positive = rates[rates > 0]
    return 0.7 * float(positive.min()) if len(positive) else 1e-3


def _mark_deployed(axes: Axes, x: float | None, y: float | None, min_x: float = 0.0, min_y: float = 0.0) -> None:
    """Mark the point of the deployed threshold."""
    if x is None or y is None:
        return
    x, y = max(x, min_x), max(y, min_y)
    axes.plot([x], [y], "o", ms=6, color=DEPLOYED, clip_on=False, zorder=5, label="as deployed")
    axes.legend(loc="best")


def svg(draw: Callable[[Axes], None], size: tuple[float, float] = _SIZE) -> str:
    """Draw a plot as an SVG element, without metadata that differs between runs and ids that clash on the page."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(size, layout="constrained")
        draw(figure.add_subplot())
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    referenced = set(_REFERENCE.findall(text))
    return _ID.sub(lambda found: found[0] if found[1] in referenced else "", text)
