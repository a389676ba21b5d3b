"""A document as a page that needs nothing else: figures, plots, tables, mistakes as pictures, and their origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from facet.evaluation.report.document import Report, ending, uncounted
from facet.evaluation.report.glossary import meaning
from facet.evaluation.report.plots import plots
from facet.evaluation.report.thumbnails import thumbnail

_TEMPLATE = "report.html.jinja"
_TITLES = {
    "detection": "Detection",
    "verification": "Verification",
    "identification": "Identification",
    "latency": "Latency",
    "tracks": "Tracks",
}
_FRAME = ("kind", "partial", "done", "of", "stopped_at", "reason", "curves", "tables", "mistakes", "refused", "items")
_NO_FIGURES = frozenset((*_FRAME, "provenance", "times"))
_NOTHING = "-"
_PICTURES = ("image", "image_a", "image_b", "candidate_image", "mate_image")
_OF_MISSES = ("image", "image_a", "image_b", "mate_image", "candidate_image")
_MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of the page.

    Attributes:
        name: as in the document.
        value: for eyes.
        interval: for eyes, a dash where there is none; empty of what is no figure.
        text: what it says, or why it has no value.
    """

    name: str
    value: str
    interval: str
    text: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake of the page: its pictures as (path, data URI or nothing), and what there is to say."""

    pictures: tuple[tuple[str, str | None], ...]
    facts: tuple[tuple[str, str], ...]


def render(report: Report, pictures: Mapping[str, Path]) -> str:
    """The page of a document. The same document and pictures give the same page.

    Args:
        report: see :func:`facet.evaluation.report.document.document`.
        pictures: the files of its pictures by the names that it has for them; those of mistakes that are not among
            them are told, but not shown.

    Raises:
        ImportError: jinja2 or matplotlib, of the extra evaluation, is not installed.
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
        headline=[line for line in lines if line.interval],
        counts=[line for line in lines if not line.interval],
        plots=list(plots(report)),
        tables={_words(name): _table(rows) for name, rows in report["tables"].items() if rows},
        mistakes={_words(kind): [_mistake(kind, each, pictures) for each in found] for kind, found in _known(report)},
        ending=ending(report) if report["partial"] else "",
        uncounted=uncounted(report),
        settings=list(_flat(report["provenance"]["configuration"])),
        software=list(_flat(report["provenance"]["software"])),
    )


def _lines(report: Report) -> Iterator[Line]:
    for name, found in report.items():
        if name in _NO_FIGURES or isinstance(found, (list, bool)):
            continue
        if not isinstance(found, Mapping):
            yield Line(name, shown(found), "", meaning(name))
        elif "value" in found:
            interval = _NOTHING if found["low"] is None else f"{shown(found['low'])} to {shown(found['high'])}"
            yield Line(name, shown(found["value"]), interval, found.get("note") or meaning(name))


def shown(value: Any) -> str:
    """A value for eyes."""
    if isinstance(value, Mapping) and "value" in value:
        interval = "" if value["low"] is None else f" ({shown(value['low'])} to {shown(value['high'])})"
        return shown(value["value"]) + interval
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        digits = 4 if abs(value) < 10 else 1
        return f"{value:.{digits}f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value))
    return str(value)


def _table(rows: Sequence[Mapping[str, Any]]) -> Report:
    return {
        "columns": [_words(name) for name in rows[0]],
        "rows": [[shown(row.get(name)) for name in rows[0]] for row in rows[:_MOST_ROWS]],
        "left_out": max(0, len(rows) - _MOST_ROWS),
    }


def _known(report: Report) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    yield from ((kind, found) for kind, found in report["mistakes"].items() if found)


def _mistake(kind: str, told: Mapping[str, Any], pictures: Mapping[str, Path]) -> Mistake:
    """Beside a probe that was missed comes who it is, beside any other whom it was taken for; each picture once."""
    shown_pictures: dict[str, str | None] = {}
    for key in _OF_MISSES if kind == "misses" else _PICTURES:
        name = told.get(key)
        if name and name not in shown_pictures:
            box = told.get("box") if key == "image" else None
            shown_pictures[name] = thumbnail(pictures[name], box) if name in pictures else None
    facts = [
        (_words(name), shown(value))
        for name, value in told.items()
        if name not in (*_PICTURES, "box") and value not in (None, "")
    ]
    return Mistake(tuple(shown_pictures.items()), tuple(facts))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, shown(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
