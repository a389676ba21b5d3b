"""``facet evaluate compare``: what changed between two reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from facet.cli.evaluate.shared.output import REPORT_JSON, stacked
from facet.evaluation.report.compare import Incomparable
from facet.evaluation.report.compare import compare as compared
from facet.evaluation.report.document import Report
from facet.terminal import console, tables
from facet.terminal.console import AsJson

_COLOURS = {"better": "green", "worse": "red", "lost": "red"}
_FAILING = {"worse": "worse beyond chance", "lost": "without a value in B"}
_DIGITS = 5

ReportFile = typer.Argument(help="A report.json, its folder, or a file with the output of --json.", show_default=False)


def compare(
    a: Annotated[Path, ReportFile],
    b: Annotated[Path, ReportFile],
    different_sets: Annotated[
        bool, typer.Option("--different-sets", help="Compare reports on different sets, without intervals.")
    ] = False,
    fail_if_worse: Annotated[
        bool,
        typer.Option(
            "--fail-if-worse", help="Exit with code 1 if a figure of B is worse beyond chance, or has no value."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What changed from A to B, and is it more than chance? Both reports are on the same set.

    Each figure is computed again a thousand times from the outcomes of all probes, pairs or pictures, with the same
    people (for detection: pictures) drawn for both reports. A difference is beyond chance if its 95 % interval does not
    contain 0.

    [b]Example[/b]

      facet evaluate compare before/ after/report.json --fail-if-worse

    Exit code: 0 done, 1 a report cannot be read, or a figure is worse with [b]--fail-if-worse[/b], 2 bad usage.
    """
    first, second = _read(a), _read(b)
    try:
        found = compared(first, second, different_sets=different_sets)
    except Incomparable as error:
        console.fail(f"{a} and {b} cannot be compared: {error}", console.USAGE)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):
        console.fail(f"{a} or {b} is not a report of this version of facet evaluate")
    if as_json:
        console.print_json(found)
    else:
        _show(found)
    if fail_if_worse:
        problems = []
        for verdict, what in _FAILING.items():
            if names := [each["name"] for each in found["figures"] if each["verdict"] == verdict]:
                problems.append(f"{what}: {', '.join(names)}")
        if problems:
            console.fail("; ".join(problems))


def _read(path: Path) -> Report:
    file = path / REPORT_JSON if path.is_dir() else path
    try:
        read = json.loads(file.read_text("utf-8"))
    except OSError as error:
        console.fail(f"cannot read {file}: {error.strerror}")
    except UnicodeDecodeError as error:
        console.fail(f"{file} is not UTF-8 text (byte {error.start})")
    except json.JSONDecodeError as error:
        console.fail(f"{file}, line {error.lineno}: is not JSON: {error.msg}")
    if not isinstance(read, dict) or "kind" not in read or "provenance" not in read:
        console.fail(f"{file} is not a report of facet evaluate")
    report: Report = read
    return report


def _show(found: Report) -> None:
    table = tables.table("figure", "A", "B", "B - A", "verdict", title=found["kind"].capitalize())
    for each in found["figures"]:
        verdict = Text(each["verdict"], _COLOURS.get(each["verdict"], ""))
        values = (stacked(each[key], _DIGITS) for key in ("a", "b", "difference"))
        table.add_row(each["name"], *values, verdict)
    console.out.print(table)
    if not found["paired"]:
        console.out.print("no intervals: the two reports have different items")
    for each in found["changed"]:
        console.out.print(f"changed: {each['name']}: {each['a']} -> {each['b']}")
    if not found["changed"]:
        console.out.print("models, settings, software and set are the same")
