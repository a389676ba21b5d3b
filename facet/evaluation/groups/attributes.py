"""Attributes of subjects, such as age or sex, read from a CSV file."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facet.evaluation.datasets.labels import LabelError, read_text
from facet.terminal.counts import agreeing

NOT_STATED = "not stated"
"""The group of subjects whose attribute is not known."""

_SUBJECT = "subject"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""All but the tab; line ends are split off before."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of subjects.

    Attributes:
        name: heading of its column.
        of: the group of each subject of the set; :data:`NOT_STATED` where the file has none.
    """

    name: str
    of: Mapping[str, str]

    @property
    def groups(self) -> tuple[str, ...]:
        """The stated groups, sorted."""
        return tuple(sorted({*self.of.values()} - {NOT_STATED}))

    @property
    def not_stated(self) -> list[str]:
        """The subjects whose group is not stated, sorted."""
        return sorted(subject for subject, group in self.of.items() if group == NOT_STATED)


def read_attributes(path: Path, subjects: Collection[str], *, allow_unknown: bool = False) -> tuple[Attribute, ...]:
    """Read a CSV file with the column subject, and a column for each attribute.

    Fields are separated by commas, or by semicolons if the first line has some and no comma. No field spans lines.

    Args:
        path: the file.
        subjects: all people of the set.
        allow_unknown: skip lines of people who are not in the set, for a file that covers more than the set.

    Raises:
        LabelError: the file is unreadable or no CSV, has a control character or a quote that is not closed in its line,
            a column is missing or named twice, a line has too many or too few fields, or a subject is empty, named
            twice, or not in the set. The message names the line.
    """
    known = {_normal(subject): subject for subject in subjects}
    rows = _rows(path)
    try:
        names = _attribute_names(path, rows.fieldnames or ())
        lines = _lines(path, rows, names)
        given: dict[str, dict[str, str]] = {}
        lines_of: dict[str, int] = {}
        unknown: list[tuple[int, str]] = []
        for line, subject, values in lines:
            if subject in lines_of:
                raise LabelError(path, line, f"{subject!r} is in line {lines_of[subject]}, too")
            lines_of[subject] = line
            if subject in known:
                given[known[subject]] = values
            else:
                unknown.append((line, subject))
    except csv.Error as error:
        raise LabelError(path, rows.reader.line_num, f"is not CSV: {error}") from error
    if unknown and not allow_unknown:
        line, subject = unknown[0]
        others = len(unknown) - 1
        more = f"; the same is true of {others} more {agreeing(others, 'line')}" if others else ""
        example = f" such as {min(known.values())!r}" if known else ""
        problem = f"{subject!r} is no subject of this set{example}{more}; --allow-unknown-subjects skips them"
        raise LabelError(path, line, problem)
    if not given:
        raise LabelError(path, None, "states no group of a subject of this set")
    return tuple(
        Attribute(name, {subject: given.get(subject, {}).get(name) or NOT_STATED for subject in sorted(known.values())})
        for name in names
    )


def from_report(groups: Mapping[str, Any]) -> tuple[Attribute, ...]:
    """Restore the attributes from the ``groups`` of a report."""
    return tuple(Attribute(name, section["of"]) for name, section in groups.items())


def _rows(path: Path) -> csv.DictReader[str]:
    text = read_text(path)
    for line, content in enumerate(re.split("\r\n|\r|\n", text), 1):
        if control := _CONTROL.search(content):
            raise LabelError(path, line, f"has the control character {control.group()!r}")
        if content.count('"') % 2:
            raise LabelError(path, line, "has a quote that is not closed")
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    lines = io.StringIO(text, newline="")
    return csv.DictReader(lines, restkey="", restval=None, delimiter=delimiter, strict=True)


def _attribute_names(path: Path, headings: Collection[str]) -> list[str]:
    names = [(name or "").strip() for name in headings]
    if _SUBJECT not in names:
        raise LabelError(path, 1, "has no column subject; it needs subject, and a column for each attribute")
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise LabelError(path, 1, f"has two columns {twice[0]!r}")
    if "" in names:
        raise LabelError(path, 1, "has a column without a name")
    if names == [_SUBJECT]:
        raise LabelError(path, 1, "has no column with an attribute, such as subject,age")
    return [name for name in names if name != _SUBJECT]


def _lines(path: Path, rows: csv.DictReader[str], names: Collection[str]) -> Iterator[tuple[int, str, dict[str, str]]]:
    for row in rows:
        line = rows.line_num
        if "" in row:
            raise LabelError(path, line, f"has more than {len(names) + 1} fields")
        fields = {name.strip(): value for name, value in row.items()}
        if None in fields.values():
            raise LabelError(path, line, f"has fewer than {len(names) + 1} fields")
        subject = _normal(fields[_SUBJECT].strip())
        if not subject:
            raise LabelError(path, line, "subject is empty")
        yield line, subject, {name: _normal(fields[name].strip()) for name in names}


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
