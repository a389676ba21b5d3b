"""The document that an evaluation ends in: every figure, what it is drawn from, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from facet.evaluation.calls import Stopped
from facet.evaluation.intervals import Figure

Report: TypeAlias = dict[str, Any]
"""Plain values by name, ready for JSON."""
_GONE = "UNAVAILABLE"

Kind: TypeAlias = Literal["detection", "verification", "identification", "latency", "tracks"]


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
) -> Report:
    """Put a document together. Two runs on the same input give the same one, but for ``times``.

    Args:
        kind: what was evaluated.
        figures: figures, counts and thresholds by the names that they are known by. A :class:`Figure` becomes
            ``{"value", "low", "high"}``; numpy's numbers become plain ones, a float32 with as many digits as it has.
        provenance: see :func:`facet.evaluation.report.provenance.provenance`.
        times: when it ran and how long it took.
        stopped: where the server went away, and why: the document is then marked partial, its figures are of what was
            done.
        curves: what plots are drawn from, by name: ``{"x": [...], "y": [...]}`` and the like.
        tables: rows by the name of their table.
        mistakes: the worst mistakes by kind, each naming its pictures.
        refused: ``{"image", "reason"}`` of each picture that could not be judged.
        items: the outcome of each probe, pair or picture, from which ``compare`` takes the main figures again; a
            mapping where they are in columns.
    """
    done = {}
    if stopped is not None:
        done = {"done": stopped.done, "of": stopped.of, "stopped_at": stopped.at, "reason": stopped.reason}
    built: Report = plain(
        {
            "kind": kind,
            "partial": stopped is not None,
            **done,
            **figures,
            "curves": curves or {},
            "tables": tables or {},
            "mistakes": mistakes or {},
            "refused": list(refused),
            "items": items if isinstance(items, Mapping) else list(items),
            "provenance": provenance,
            "times": times,
        }
    )
    return built


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Figure):
        return plain(value.as_json())
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(each) for each in value]
    if isinstance(value, np.float32):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def ending(report: Mapping[str, Any]) -> str:
    """Where and why a document that is partial ends, in words."""
    why = "the server went away" if report["reason"] == _GONE else f"the server answered {report['reason']}"
    done = f"the figures are of the {report['done']} of {report['of']} that were done before"
    return f"{why} at {report['stopped_at']}: {done}"


def uncounted(report: Mapping[str, Any]) -> str:
    """What became of the pictures that were refused, in words."""
    return "the figures leave them out" if report["kind"] == "latency" else "the figures count them as missed"


def value_of(report: Mapping[str, Any], name: str) -> float | None:
    """The value of a figure, count or threshold of a document; ``None`` where it has none of this name or no value."""
    found = report.get(name)
    if isinstance(found, Mapping):
        found = found.get("value")
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None
