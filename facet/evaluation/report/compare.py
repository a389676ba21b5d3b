"""Comparison of two reports: differences with paired intervals, and what changed in their provenance."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from facet.evaluation.intervals import Figure, bootstrapped_together
from facet.evaluation.report.document import Report, is_by_group, value_of
from facet.evaluation.report.items import report_items

Verdict = Literal["better", "worse", "lost", "within chance", "same", "not told"]

_LOWER_IS_BETTER = re.compile(
    r"eer|far|frr|fpir|fnir|fnir@.*|(fnir|fpir|fnmr|fmr)(_ratio|_to_mean)?\[.*|false_positives_per_image|failure_to_.*|.*_ms|.*seconds_to_identify"
    r"|false_name.*|strangers_named|id_switches"
)
_COMPARED = re.compile(
    r"accuracy|auc|eer|tar@.*|far|frr|deployed_accuracy|precision|recall.*|f1|rank_\d+|fnir(@.*)?|fpir|ap50|ap50_95"
    r"|false_positives_per_image|p\d+_ms|mean_ms|calls_per_second"
    r"|(fnir|fpir|fnmr|fmr)(_ratio|_to_mean)?\[.*"
    r"|identified.*|.*seconds_to_identify|named_share|false_names_per_minute|strangers_named|id_switches"
)


class Incomparable(Exception):
    """Two reports cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure in both reports.

    Attributes:
        name: name of the figure.
        a: its value in the first report; ``None`` without a value.
        b: its value in the second report.
        difference: b - a, with the interval of paired resamples; without an interval if the items cannot be paired.
        verdict: whether b is better or worse beyond chance; "lost" if only a has a value; "not told" without an
            interval.
    """

    name: str
    a: float | None
    b: float | None
    difference: Figure
    verdict: Verdict


def compare(a: Report, b: Report, *, different_sets: bool = False) -> Report:
    """Compare two reports of one kind.

    Each bootstrap round draws the same people (in detection: pictures) for both reports, so that what is hard for both
    cancels out. A difference is beyond chance if its interval excludes 0. Figures by group are compared if both reports
    have the same groups.

    Args:
        a: the report before, see :func:`facet.evaluation.report.document.document`.
        b: the report after.
        different_sets: also compare reports on different sets; then there are no intervals.

    Raises:
        Incomparable: the reports differ in kind, task, classes or set, or one is partial.
    """
    if a["kind"] != b["kind"]:
        raise Incomparable(f"one reports {a['kind']}, the other {b['kind']}")
    for name, read in (("tasks", lambda report: report.get("task")), ("classes", _classes)):
        if read(a) != read(b):
            raise Incomparable(f"their {name} differ: {_listed(read(a))}, and {_listed(read(b))}")
    for name, report in (("first", a), ("second", b)):
        if report["partial"]:
            raise Incomparable(f"the {name} is partial: its figures do not cover the whole set")
    if _groups(a) != _groups(b):
        a, b = (
            {name: value for name, value in report.items() if name != "groups" and not is_by_group(name)}
            for report in (a, b)
        )
    same_set = a["provenance"]["data_set"]["sha256"] == b["provenance"]["data_set"]["sha256"]
    if not (same_set or different_sets):
        raise Incomparable("their labels or pictures differ; --different-sets compares them anyway, without intervals")
    paired = _paired(a, b) if same_set else {}
    return {
        "kind": a["kind"],
        "paired": bool(paired),
        "figures": [_as_json(each) for each in _differences(a, b, paired)],
        "changed": list(_changes(a["provenance"], b["provenance"])),
    }


def _differences(a: Report, b: Report, paired: Mapping[str, Figure]) -> Iterator[Difference]:
    for name in a:
        if not _COMPARED.fullmatch(name):
            continue
        before, after = value_of(a, name), value_of(b, name)
        if before is None or after is None:
            yield Difference(name, before, after, Figure(None, None, None), "not told" if before is None else "lost")
            continue
        figure = paired.get(name, Figure(after - before, None, None))
        yield Difference(name, before, after, figure, _verdict(name, figure))


def _verdict(name: str, difference: Figure) -> Verdict:
    if difference.value is None or difference.low is None or difference.high is None:
        return "not told"
    if difference.low <= 0 <= difference.high:
        return "same" if difference.low == difference.high else "within chance"
    rose = difference.low > 0
    return "worse" if rose == bool(_LOWER_IS_BETTER.fullmatch(name)) else "better"


def _classes(report: Report) -> Any:
    return report["provenance"].get("configuration", {}).get("classes")


def _groups(report: Report) -> Any:
    return {name: section["of"] for name, section in report.get("groups", {}).items()}


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _paired(a: Report, b: Report) -> dict[str, Figure]:
    """The differences of the main figures with paired intervals; empty if the items differ."""
    seed = a["provenance"]["seed"] or 0
    first, second = report_items(a, seed=seed), report_items(b, seed=seed)
    if first is None or second is None or _keys(a) != _keys(b):
        return {}

    def differences(weights: Any) -> dict[str, float | None]:
        before, after = first.values(weights), second.values(weights)
        return {name: _difference(after[name], before[name]) for name in before if name in after}

    return bootstrapped_together(differences, first.count, first.rounds())


def _keys(report: Report) -> Any:
    """The identity of the items of a report, to pair them."""
    items = report["items"]
    if isinstance(items, Mapping):
        return items["images"], items["a"], items["b"], items["same"]
    return [(item["image"], item.get("subject"), item.get("mated")) for item in items]


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _changes(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    """The values that differ between two provenances."""
    for name in dict.fromkeys((*a, *b)):
        before, after = a.get(name), b.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(before, after, f"{prefix}{name}.")
        elif before != after:
            yield {"name": prefix + name, "a": before, "b": after}


def _as_json(each: Difference) -> dict[str, Any]:
    difference = each.difference.as_json()
    return {"name": each.name, "a": each.a, "b": each.b, "difference": difference, "verdict": each.verdict}
