"""The report document: figures, the data behind them, and their provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from facet.evaluation.calls import Stopped
from facet.evaluation.intervals import Figure

Report: TypeAlias = dict[str, Any]
"""JSON values by name."""
_SERVER_GONE = "UNAVAILABLE"

Kind: TypeAlias = Literal[
    "detection", "verification", "identification", "enrollment", "latency", "online", "outcomes", "tracks"
]


def document(
    kind: Kind,
    figures: Mapping[str, Any],
    *,
    provenance: Mapping[str, Any],
    times: Mapping[str, Any],
    stopped: Stopped | None = None,
    curves: Mapping[str, Any] | None = None,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    mistakes: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    refused: Iterable[Mapping[str, str]] = (),
    items: Iterable[Mapping[str, Any]] | Mapping[str, Any] = (),
    groups: Mapping[str, Any] | None = None,
) -> Report:
    """Build a document. Two runs on the same input give the same document except for ``times``.

    Args:
        kind: what was evaluated.
        figures: figures, counts and thresholds by name. A :class:`Figure` becomes ``{"value", "low", "high"}``, NumPy
            numbers become plain numbers, a float32 with its own digits.
        provenance: see :func:`facet.evaluation.report.provenance.provenance`.
        times: date and duration.
        stopped: where and why the run stopped; the document is then partial, and its figures cover what was done.
        curves: data of the plots by name, such as ``{"x": [...], "y": [...]}``.
        tables: rows by table name.
        mistakes: the worst mistakes by kind, with the names of their pictures.
        refused: ``{"image", "reason"}`` of each picture that could not be judged.
        items: the outcome of each probe, pair or picture, from which ``compare`` recomputes the main figures; a
            mapping if they are in columns.
        groups: error rates by group, see :class:`facet.evaluation.groups.report.GroupReport`.
    """
    progress = {}
    if stopped is not None:
        progress = {"done": stopped.done, "of": stopped.of, "stopped_at": stopped.at, "reason": stopped.reason}
    built: Report = to_json(
        {
            "kind": kind,
            "partial": stopped is not None,
            **progress,
            **figures,
            "curves": curves or {},
            "tables": tables or {},
            **({"groups": groups} if groups else {}),
            "mistakes": mistakes or {},
            "refused": list(refused),
            "items": items if isinstance(items, Mapping) else list(items),
            "provenance": provenance,
            "times": times,
        }
    )
    return built


def to_json(value: Any) -> Any:
    """Convert figures, arrays and NumPy numbers to JSON values."""
    if isinstance(value, Figure):
        return to_json(value.as_json())
    if isinstance(value, Mapping):
        return {str(name): to_json(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [to_json(each) for each in value]
    if isinstance(value, np.float32):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def describe_stop(report: Mapping[str, Any]) -> str:
    """Where and why the run of a partial document stopped, as a sentence."""
    why = "the server went away" if report["reason"] == _SERVER_GONE else f"the server answered {report['reason']}"
    done = f"the figures cover the {report['done']} of {report['of']} done before"
    return f"{why} at {report['stopped_at']}: {done}"


def describe_refused(report: Mapping[str, Any]) -> str:
    """How the figures treat refused pictures, as a clause."""
    return (
        "the figures leave them out"
        if report["kind"] in ("enrollment", "latency")
        else "the figures count them as missed"
    )


def is_by_group(name: str) -> bool:
    """Whether a figure is one by group, such as ``fnir[sex=female]``."""
    return name.endswith("]")


def value_of(report: Mapping[str, Any], name: str) -> float | None:
    """The value of a figure, count or threshold; ``None`` if there is no such figure or it has no value."""
    found = report.get(name)
    if isinstance(found, Mapping):
        found = found.get("value")
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None
