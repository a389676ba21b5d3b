"""What the tests of the evaluation share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from facet.evaluation.report.figure_names import no_such

if TYPE_CHECKING:
    from facet import Client

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(run_script: Run) -> Run:
    """Run a command of evaluate.py."""
    return partial(run_script, "evaluate.py")


@pytest.fixture
def galleries_left(client: Client) -> Callable[[], list[str]]:
    """List the galleries that evaluations created and did not delete."""

    def galleries() -> list[str]:
        ids = [gallery.gallery_id for gallery in client.iter_galleries()]
        return [each for each in ids if each.startswith(("evaluation-", "latency-"))]

    return galleries


UnknownFigures = Callable[[dict[str, Any]], list[str]]


@pytest.fixture
def unknown_figures() -> UnknownFigures:
    """List the figures of a report that a requirement could not name."""

    def unknown(report: dict[str, Any]) -> list[str]:
        numbers = (int, float)
        return [
            name
            for name, value in report.items()
            if (isinstance(value, numbers) or (isinstance(value, dict) and "low" in value))
            and name != "partial"
            and no_such(name, report["kind"])
        ]

    return unknown
