"""Error rates by group: the file of the groups, and the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.output import stacked
from facet.evaluation.groups.attributes import Attribute, read_attributes
from facet.evaluation.groups.report import ACROSS
from facet.evaluation.report.document import Report
from facet.evaluation.report.group_section import (
    BEYOND,
    EXPLAINED,
    describe_counts,
    describe_missing,
    describe_not_stated,
    describe_rates,
)
from facet.terminal import console, tables


def read(path: Path | None, subjects: Collection[str], allow_unknown: bool) -> tuple[Attribute, ...]:
    """Read the groups of the subjects of a set; exits with a message that names the line if the file is wrong."""
    if path is None:
        if allow_unknown:
            console.fail("--allow-unknown-subjects is for a file of groups: name it with --groups", console.USAGE)
        return ()
    return running.labels(lambda: read_attributes(path, subjects, allow_unknown=allow_unknown))


def provenance_of(path: Path | None) -> dict[str, Any]:
    """The file of the groups, for the provenance of a report; empty without groups."""
    return {"groups": {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}} if path else {}


def show(report: Report) -> None:
    """Print a table for each attribute, the worst ratios, who has no group, and how to read all that."""
    for attribute, section in report.get("groups", {}).items():
        rates = [*section["rates"]]
        columns = [*rates, *([ACROSS] if ACROSS in section["rows"][0] else [])]
        headings = (column for name in columns for column in (name, *(("errors",) if name in rates else ())))
        table = tables.table(attribute, *headings, title=f"Error by {attribute}")
        for row in section["rows"]:
            cells = []
            for name in columns:
                cells.append(_cell(row, name))
                if name in rates:
                    cells.append("\n".join(describe_counts(row, name)))
            table.add_row(row["group"], *cells)
        console.out.print(table)
        for sentence in (*describe_rates(section), *describe_not_stated(section)):
            console.out.print(sentence)
    if report.get("groups"):
        for sentence in EXPLAINED:
            console.out.print(sentence)


def _cell(row: Report, name: str) -> str:
    if row[name]["value"] is None:
        return describe_missing(row[name])
    verdict = row.get(f"{name}_verdict")
    return f"{stacked(row[name])}\n{verdict}" if verdict in BEYOND else stacked(row[name])
