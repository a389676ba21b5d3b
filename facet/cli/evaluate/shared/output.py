"""What becomes of an evaluation's document: tables, JSON, a report, and whether it meets its requirements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from facet.evaluation.report.document import Kind, Report, describe_refused, describe_stop
from facet.evaluation.report.figure_names import no_such
from facet.evaluation.report.gate import Requirement, parse_requirement
from facet.evaluation.report.html import render
from facet.runtime.extras import install_command
from facet.terminal import console, private_files, tables
from facet.terminal.counts import agreeing, counted
from facet.terminal.visible import visible

Row = tuple[str, str, str]
"""A figure in a table: name, value, meaning."""

REPORT_JSON, REPORT_HTML = "report.json", "report.html"


@dataclass(frozen=True, slots=True)
class Output:
    """What to do with the document.

    Attributes:
        as_json: print it as JSON instead of tables.
        report: folder to write it to, with a page of plots; ``None`` for none.
        requirements: what it must meet.
    """

    as_json: bool
    report: Path | None
    requirements: tuple[Requirement, ...]


def output(
    kind: Kind,
    as_json: bool,
    report: Path | None,
    require: Iterable[str] | None,
    *,
    by_group: Sequence[str] = (),
) -> Output:
    """Check the flags before anything is measured.

    Exits with a usage error if a requirement is malformed or names no figure of this kind of report, or if the folder
    cannot be created.
    """
    try:
        requirements = tuple(parse_requirement(text) for text in require or ())
        for each in requirements:
            if problem := no_such(each.name, kind, by_group):
                console.fail(f"--require {each}: {problem}", console.USAGE)
        if report:
            need_plotting()
            private_files.make_folder(report)
    except ValueError as error:
        console.fail(str(error), console.USAGE)
    except OSError as error:
        console.fail(f"cannot write to {report}: {error.strerror}", console.USAGE)
    return Output(as_json, report, requirements)


def finish(
    document: Report,
    out: Output,
    pictures: Mapping[str, Path],
    show: Callable[[Report], None],
    *,
    problems: Iterable[str] = (),
) -> None:
    """Write, print and check a document; exits with code 1 if something failed.

    Args:
        document: see :func:`facet.evaluation.report.document.document`.
        out: what to do with it.
        pictures: its pictures' files by name, for those that the report shows.
        show: prints it as tables.
        problems: other failures, a line each.
    """
    if out.report:
        write(document, out.report, pictures)
    if out.as_json:
        console.print_json(document)
    else:
        show(document)
    failed = [*problems, *_problems(document, out.requirements)]
    for problem in failed:
        console.err.print(Text(visible(problem), "red"))
    if failed:
        raise typer.Exit(console.FAILED)


def left_behind(gallery: str) -> Iterable[str]:
    """The problem of a gallery that a run made and could not delete; nothing if ``gallery`` is empty."""
    if gallery:
        yield f"the gallery {gallery} could not be deleted"


def print_figures(title: str, rows: Iterable[Row]) -> None:
    """Print a table of figures."""
    table = tables.table("figure", "value", "what it says", title=title)
    for row in rows:
        table.add_row(*row)
    console.out.print(table)


def shown(figure: Any, digits: int = 4) -> str:
    """A figure as text: its value and interval; a dash if it has no value."""
    if isinstance(figure, Mapping):
        value, low, high = figure["value"], figure["low"], figure["high"]
        if value is None or low is None or high is None:
            return shown(value, digits)
        return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return "-" if figure is None else f"{figure:.{digits}f}"


def stacked(figure: Any, digits: int = 4) -> str:
    """A figure in two lines, for narrow columns: its value, then its interval with one digit less."""
    if isinstance(figure, Mapping) and None not in (figure["value"], figure["low"], figure["high"]):
        low, high = (f"{figure[bound]:.{digits - 1}f}" for bound in ("low", "high"))
        return f"{figure['value']:.{digits}f}\n{low}..{high}"
    return shown(figure, digits)


def need_plotting() -> None:
    """Exit if packages for reports are missing, before anything is measured."""
    if missing := [name for name in ("jinja2", "matplotlib") if not find_spec(name)]:
        console.fail(f"--report needs {' and '.join(missing)}: {install_command('evaluation')}", console.USAGE)


def _problems(document: Report, requirements: Iterable[Requirement]) -> Iterable[str]:
    refused = document["refused"]
    for each in refused:
        yield f"refused: {each['image']}: {each['reason']}"
    if refused:
        count = len(refused)
        yield f"{counted(count, 'picture')} {agreeing(count, 'was')} refused; {describe_refused(document)}"
    if document["partial"]:
        yield describe_stop(document)
    for each in requirements:
        if failure := each.failure(document):
            yield f"not met: {failure}"


def write(document: Report, folder: Path, pictures: Mapping[str, Path]) -> None:
    """Write a document and its page to a folder; exits with a message if that fails."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
        for name, value in document.items()
    )
    try:
        private_files.write(folder / REPORT_JSON, "{\n" + ",\n".join(lines) + "\n}\n")
        private_files.write(folder / REPORT_HTML, render(document, pictures))
    except OSError as error:
        console.fail(f"cannot write to {folder}: {error.strerror}")
