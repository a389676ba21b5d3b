"""Two documents side by side: what changed, what of that is beyond chance, and what may be why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from facet.evaluation.intervals import Figure, bootstrapped_together
from facet.evaluation.report.document import Report, value_of
from facet.evaluation.report.outcomes import resamplable

Verdict = Literal["better", "worse", "lost", "within chance", "same", "not told"]

_LOWER_IS_BETTER = re.compile(
    r"eer|far|frr|fpir|fnir|fnir@.*|false_positives_per_image|failure_to_.*|.*_ms|.*seconds_to_identify"
    r"|false_name.*|strangers_named|id_switches"
)
_MAIN = re.compile(
    r"accuracy|auc|eer|tar@.*|far|frr|deployed_accuracy|precision|recall.*|f1|rank_\d+|fnir.*|fpir|ap50|ap50_95"
    r"|false_positives_per_image|p\d+_ms|mean_ms|calls_per_second"
    r"|identified.*|.*seconds_to_identify|named_share|false_names_per_minute|strangers_named|id_switches"
)


class Incomparable(Exception):
    """Two documents that cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of both documents.

    Attributes:
        name: of the figure.
        a: its value in the first document; ``None`` where it has none.
        b: its value in the second.
        difference: b less a, with the interval of the paired resamples; without one where they cannot be drawn.
        verdict: whether b is better or worse beyond chance; "lost" where a has a value and b has none.
    """

    name: str
    a: float | None
    b: float | None
    difference: Figure
    verdict: Verdict


def compare(a: Report, b: Report, *, different_sets: bool = False) -> Report:
    """Compare two documents of one kind.

    The items of both are drawn again together: each round takes the same people (in detection, pictures) for both, so
    that what is hard for both does not hide what differs. An interval of the difference that leaves out 0 is beyond
    chance.

    Args:
        a: what was, see :func:`facet.evaluation.report.document.document`.
        b: what is.
        different_sets: compare figures of different sets too; then no interval can be told.

    Raises:
        Incomparable: they are of different kinds, tasks, classes or sets, or one is partial.
    """
    if a["kind"] != b["kind"]:
        raise Incomparable(f"one is of {a['kind']}, the other of {b['kind']}")
    for name, of in (("task", lambda report: report.get("task")), ("classes", _classes)):
        if of(a) != of(b):
            raise Incomparable(f"they are of different {name}: {_listed(of(a))}, and {_listed(of(b))}")
    for name, report in (("first", a), ("second", b)):
        if report["partial"]:
            raise Incomparable(f"the {name} is partial: its figures are not of the whole set")
    one_set = a["provenance"]["data_set"]["sha256"] == b["provenance"]["data_set"]["sha256"]
    if not (one_set or different_sets):
        raise Incomparable("they are of different labels or pictures; --different-sets compares their figures as told")
    paired = _paired(a, b) if one_set else {}
    return {
        "kind": a["kind"],
        "paired": bool(paired),
        "figures": [_as_json(each) for each in _differences(a, b, paired)],
        "changed": list(_changes(a["provenance"], b["provenance"])),
    }


def _differences(a: Report, b: Report, paired: Mapping[str, Figure]) -> Iterator[Difference]:
    for name in a:
        if not _MAIN.fullmatch(name):
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


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _paired(a: Report, b: Report) -> dict[str, Figure]:
    """The differences of the main figures with their intervals; none where the items are not the same ones."""
    seed = a["provenance"]["seed"] or 0
    first, second = resamplable(a, seed=seed), resamplable(b, seed=seed)
    if first is None or second is None or _keys(a) != _keys(b):
        return {}

    def differences(weights: Any) -> dict[str, float | None]:
        before, after = first.values(weights), second.values(weights)
        return {name: _less(after[name], before[name]) for name in before if name in after}

    return bootstrapped_together(differences, first.count, first.rounds())


def _keys(report: Report) -> Any:
    """What tells the items of a document apart."""
    items = report["items"]
    if isinstance(items, Mapping):
        return items["images"], items["a"], items["b"], items["same"]
    return [(item["image"], item.get("subject"), item.get("mated")) for item in items]


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _changes(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    """The leaves in which two provenances differ."""
    for name in dict.fromkeys((*a, *b)):
        before, after = a.get(name), b.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(before, after, f"{prefix}{name}.")
        elif before != after:
            yield {"name": prefix + name, "a": before, "b": after}


def _as_json(each: Difference) -> dict[str, Any]:
    told = each.difference.as_json()
    return {"name": each.name, "a": each.a, "b": each.b, "difference": told, "verdict": each.verdict}
