"""The report as a self-contained HTML page: figures, plots, tables, pictures of the mistakes, and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from facet.evaluation.groups.rates import MIN_PEOPLE
from facet.evaluation.report.document import Report, describe_refused, describe_stop, is_by_group
from facet.evaluation.report.glossary import meaning
from facet.evaluation.report.group_section import EXPLAINED, group_sections
from facet.evaluation.report.plots import plots
from facet.evaluation.report.thumbnails import thumbnail
from facet.terminal.counts import counted

_TEMPLATE = "report.html.jinja"
_TITLES = {
    "detection": "Detection",
    "verification": "Verification",
    "identification": "Identification",
    "enrollment": "Enrollment",
    "latency": "Latency",
    "online": "Errors without labels",
    "outcomes": "Outcomes",
    "tracks": "Tracks",
}
_NOT_FIGURES = {
    *("kind", "partial", "done", "of", "stopped_at", "reason", "curves", "tables", "mistakes", "refused", "items"),
    *("provenance", "times", "groups"),
}
_NO_VALUE = "-"
_PICTURES = ("image", "image_a", "image_b", "candidate_image", "mate_image")
_PICTURES_OF_MISSES = ("image", "image_a", "image_b", "mate_image", "candidate_image")
_MAX_ROWS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A figure on the page.

    Attributes:
        name: name in the document.
        value: formatted value.
        interval: formatted interval, a dash if there is none; empty for counts and thresholds.
        text: its meaning, or its note.
    """

    name: str
    value: str
    interval: str
    text: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake on the page: its pictures as (path, data URI or ``None``), and facts as (name, value)."""

    pictures: tuple[tuple[str, str | None], ...]
    facts: tuple[tuple[str, str], ...]


def render(report: Report, pictures: Mapping[str, Path]) -> str:
    """Render a document as a page. The same document and pictures give the same page.

    Args:
        report: see :func:`facet.evaluation.report.document.document`.
        pictures: the files of its pictures by name. Mistakes whose pictures are not among them appear without.

    Raises:
        ImportError: jinja2 or matplotlib (extra "evaluation") is not installed.
    """
    import jinja2

    text = resources.files("facet.evaluation.report").joinpath(_TEMPLATE).read_text("utf-8")
    template = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    ).from_string(text)
    lines = list(_lines(report))
    return template.render(
        title=_TITLES[report["kind"]],
        report=report,
        size=_size(report),
        headline=[line for line in lines if line.interval],
        counts=[line for line in lines if not line.interval],
        plots=list(plots(report)),
        groups=group_sections(report),
        formatted=formatted,
        min_people=MIN_PEOPLE,
        explained=EXPLAINED,
        tables={_words(name): _table(rows) for name, rows in report["tables"].items() if rows},
        mistakes={
            _words(kind): [_mistake(kind, each, pictures) for each in found]
            for kind, found in report["mistakes"].items()
            if found
        },
        stop=describe_stop(report) if report["partial"] else "",
        refusals=describe_refused(report),
        settings=list(_flat(report["provenance"]["configuration"])),
        software=list(_flat(report["provenance"]["software"])),
    )


def _size(report: Report) -> str:
    """How much the figures are of."""
    if report["kind"] == "outcomes":
        return f"{report['reported']} reported"
    if report["kind"] == "online":
        return counted(report["faces"], "face")
    return f"{report['provenance']['data_set']['pictures']} pictures"


def _lines(report: Report) -> Iterator[Line]:
    for name, found in report.items():
        if name in _NOT_FIGURES or is_by_group(name) or isinstance(found, (list, bool)):
            continue
        if not isinstance(found, Mapping):
            yield Line(name, formatted(found), "", meaning(name, report["kind"]))
        elif "value" in found:
            interval = _NO_VALUE if found["low"] is None else f"{formatted(found['low'])} to {formatted(found['high'])}"
            yield Line(name, formatted(found["value"]), interval, found.get("note") or meaning(name, report["kind"]))


def formatted(value: Any) -> str:
    """Format a value or figure for reading; one without a value as the beginning of its note."""
    if isinstance(value, Mapping) and "value" in value:
        interval = "" if value["low"] is None else f" ({formatted(value['low'])} to {formatted(value['high'])})"
        why = value.get("note", "").partition(":")[0] if value["value"] is None else ""
        return (why or formatted(value["value"])) + interval
    if value is None or value == "":
        return _NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        digits = 4 if abs(value) < 10 else 1
        return f"{value:.{digits}f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(formatted, value))
    return str(value)


def _table(rows: Sequence[Mapping[str, Any]]) -> Report:
    return {
        "columns": [_words(name) for name in rows[0]],
        "rows": [[formatted(row.get(name)) for name in rows[0]] for row in rows[:_MAX_ROWS]],
        "left_out": max(0, len(rows) - _MAX_ROWS),
    }


def _mistake(kind: str, mistake: Mapping[str, Any], pictures: Mapping[str, Path]) -> Mistake:
    """A mistake with its pictures, each once: after a missed probe first its mate, otherwise first the candidate."""
    thumbnails: dict[str, str | None] = {}
    for key in _PICTURES_OF_MISSES if kind == "misses" else _PICTURES:
        name = mistake.get(key)
        if name and name not in thumbnails:
            box = mistake.get("box") if key == "image" else None
            thumbnails[name] = thumbnail(pictures[name], box) if name in pictures else None
    facts = [
        (_words(name), formatted(value))
        for name, value in mistake.items()
        if name not in (*_PICTURES, "box") and value not in (None, "")
    ]
    return Mistake(tuple(thumbnails.items()), tuple(facts))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, formatted(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
