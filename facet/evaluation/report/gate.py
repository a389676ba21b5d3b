"""Requirements that make an evaluation a gate, such as ``fnir@fpir=0.01<=0.02``."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facet.evaluation.report.document import value_of

_OPERATORS = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt}
_FORM = re.compile(r"\s*(?P<name>[^<>\s\[]+(?:\[.*\])?)\s*(?P<operator><=|>=|<|>)\s*(?P<bound>[^<>\s]+)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A bound on a figure.

    Attributes:
        name: name of the figure in the document.
        operator: <=, <, >= or >.
        bound: the number to compare with.
    """

    name: str
    operator: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.bound:g}"

    def failure(self, report: Mapping[str, Any]) -> str | None:
        """Why a document does not meet the requirement; ``None`` if it does. A figure without a value never does."""
        if self.name not in report:
            return f"{self}: there is no figure {self.name}"
        value = value_of(report, self.name)
        if value is None:
            found = report[self.name]
            note = found.get("note") if isinstance(found, Mapping) else None
            return f"{self}: {self.name} has no value{f' ({note})' if note else ''}"
        return None if _OPERATORS[self.operator](value, self.bound) else f"{self}: {self.name} is {value:.6g}"


def parse_requirement(text: str) -> Requirement:
    """Parse a requirement: the name of a figure, an operator and a number.

    Raises:
        ValueError: the text has another form; the message states the expected one.
    """
    form = _FORM.fullmatch(text)
    try:
        if form:
            return Requirement(form["name"], form["operator"], float(form["bound"]))
    except ValueError:
        pass
    raise ValueError(
        f"{text!r} is not a requirement; expected a figure, <=, <, >= or >, and a number, as in accuracy>=0.99"
    )
