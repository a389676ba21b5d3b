"""The table of faults in docs/reliability.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.promises import Promise

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
BEGIN, END = "<!-- made by python -m tests.faults.matrix --write -->", "<!-- end of what is made -->"
AREAS = ("kill -9", "signals", "disk", "database files", "model files", "clock", "memory and threads", "network")
_HEADING = "| fault | promised | seen |"
_ROW = re.compile(r"^\| (?P<fault>.+?) \| (?P<promised>.+?) \| (?P<seen>.+?) \|$")


def rendered(rows: Mapping[Promise, Sequence[str]]) -> str:
    """Render the rows and what the tests of each saw, one table an area."""
    lines: list[str] = []
    for area in AREAS:
        of_area = {promise: seen for promise, seen in rows.items() if promise.area == area}
        if of_area:
            lines += [f"### {area[0].upper()}{area[1:]}", "", _HEADING, "|---|---|---|"]
            lines += [f"| {each.fault} | {each.promised} | {'; '.join(seen)} |" for each, seen in of_area.items()]
            lines.append("")
    return "\n".join(lines)


def written(document: str, table: str) -> str:
    """Return a document with another table."""
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"


def committed(document: str) -> dict[Promise, str]:
    """Return the rows of a document, and what was seen."""
    _, rest = document.split(BEGIN)
    table, _ = rest.split(END)
    return rows(table)


def rows(table: str) -> dict[Promise, str]:
    """Return the rows of a table as :func:`rendered` makes it."""
    found: dict[Promise, str] = {}
    area = ""
    for line in table.splitlines():
        if line.startswith("### "):
            area = next(each for each in AREAS if each.lower() == line.removeprefix("### ").lower())
        elif line != _HEADING and (row := _ROW.match(line)):
            found[Promise(area, row["fault"], row["promised"])] = row["seen"]
    return found
