"""Alert rules of Prometheus, read as Prometheus reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

OF_TARGETS = frozenset({"instance", "job"})
"""Labels that Prometheus adds."""
_FIELDS = {"alert", "expr", "for", "labels", "annotations"}


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule.

    Attributes:
        name: of the alert.
        metrics: the metrics that its query names.
        increasing: those whose increase it asks for.
        matched: the labels that choose the series of an increase.
        operators: its binary operators.
        labels: the labels that its texts name.
    """

    name: str
    metrics: frozenset[str]
    increasing: frozenset[str]
    matched: frozenset[str]
    operators: frozenset[str]
    labels: frozenset[str]

    def must_hold(self, exported: dict[str, set[str]]) -> None:
        """Check it against the exported metrics and their labels, those of Prometheus left out.

        A query that divides would alert by chance without traffic, and NaN differs from every number. The increase of a
        series that begins above 0 is 0, as that of a label's first value does, so that it would never alert.
        """
        assert self.metrics, self.name
        assert self.metrics <= exported.keys(), self.name
        assert self.operators <= {"==", ">", "-", "*", "unless"}, self.name
        labels = self.matched.union(*(exported[each] for each in self.increasing))
        assert not labels, f"{self.name}: a series of {', '.join(self.increasing)} need not begin at 0"
        assert self.labels <= OF_TARGETS.union(*(exported[each] for each in self.metrics)), self.name


def read_alert_rules(path: Path) -> list[AlertRule]:
    """Read all rules of a file.

    Raises:
        ValueError: a query is no PromQL.
    """
    yaml = pytest.importorskip("yaml", reason="needs the extra dev: scripts/install dev")
    found = []
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
        assert group.keys() == {"name", "rules"}
        for rule in group["rules"]:
            assert rule.keys() <= _FIELDS, rule
            assert rule["labels"]["severity"] in {"page", "ticket"}, rule
            found.append(_rule(rule["alert"], rule["expr"], rule["annotations"]["summary"]))
    assert len({rule.name for rule in found}) == len(found)
    return found


def _rule(name: str, query: str, text: str) -> AlertRule:
    promql = pytest.importorskip("promql_parser", reason="needs the extra dev: scripts/install dev")

    def parts_of(expression: object) -> list[Any]:
        parts: list[Any] = []
        promql.walk(expression, lambda each: parts.append(each))
        return parts

    def selectors(parts: list[Any]) -> list[Any]:
        return [each for each in parts if isinstance(each, promql.VectorSelector)]

    parts = parts_of(promql.parse(query))
    increases = [each for each in parts if isinstance(each, promql.Call) and each.func.name == "increase"]
    increasing = [selector for each in increases for selector in selectors(parts_of(each))]
    return AlertRule(
        name,
        metrics=frozenset(each.name for each in selectors(parts)),
        increasing=frozenset(each.name for each in increasing),
        matched=frozenset(matcher.name for each in increasing for matcher in each.matchers.matchers),
        operators=frozenset(str(each.op) for each in parts if isinstance(each, promql.BinaryExpr)),
        labels=frozenset(re.findall(r"\$labels\.(\w+)", text)),
    )
