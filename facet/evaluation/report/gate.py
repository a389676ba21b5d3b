"""Requirements that make an evaluation a gate: ``fnir@fpir=0.01<=0.02``."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facet.evaluation.report.document import value_of

_OPERATORS = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt}
_FORM = re.compile(r"\s*(?P<name>[^<>\s]+)\s*(?P<operator><=|>=|<|>)\s*(?P<bound>[^<>\s]+)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a figure has to be.

    Attributes:
        name: of the figure, as in the document.
        operator: <=, <, >= or >.
        bound: the number on its right.
    """

    name: str
    operator: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.bound:g}"

    def failure(self, report: Mapping[str, Any]) -> str | None:
        """Why a document does not meet it; ``None`` where it does. A figure without a value meets nothing."""
        if self.name not in report:
            return f"{self}: there is no figure {self.name}"
        value = value_of(report, self.name)
        if value is None:
            found = report[self.name]
            note = found.get("note") if isinstance(found, Mapping) else None
            return f"{self}: {self.name} has no value{f' ({note})' if note else ''}"
        return None if _OPERATORS[self.operator](value, self.bound) else f"{self}: {self.name} is {value:.6g}"


def requirement(text: str) -> Requirement:
    """Read a requirement: the name of a figure, an operator, a number.

    Raises:
        ValueError: it is of another form; the message says which is wanted.
    """
    form = _FORM.fullmatch(text)
    try:
        if form:
            return Requirement(form["name"], form["operator"], float(form["bound"]))
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no requirement; one is a figure, <=, <, >= or >, and a number: accuracy>=0.99")
