"""The names that a requirement may have."""

from __future__ import annotations

import pytest

from facet.evaluation.detection.figures import SIZE_BANDS
from facet.evaluation.identification.report import FPIRS
from facet.evaluation.report.document import Kind
from facet.evaluation.report.figure_names import FIGURES, no_such
from facet.evaluation.report.glossary import meaning
from facet.evaluation.verification.figures import FARS, far_name


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("identification", "fnir@fpir=0.01", ""),
        (
            "identification",
            "fnri@fpir=0.01",
            "fnri@fpir=0.01; did you mean fnir@fpir=0.01?",
        ),
        (
            "identification",
            "fnir@fpir=0.02",
            "fnir@fpir=0.02; did you mean fnir@fpir=0.01?",
        ),
        ("latency", "zzz", "zzz; it has p50_ms, p95_ms, "),
    ],
)
def test_a_name_that_there_is_not_is_told_the_nearest(kind: Kind, name: str, said: str) -> None:
    expected = f"{kind} has no figure {said}" if said else ""
    assert no_such(name, kind).startswith(expected)
    assert bool(no_such(name, kind)) == bool(said)


def test_rates_and_sizes_are_those_that_are_reported() -> None:
    assert {f"fnir@fpir={fpir}" for fpir in FPIRS} <= {*FIGURES["identification"]}
    assert {f"tar@{far_name(rate)}" for rate in FARS} <= {*FIGURES["verification"]}
    for task, bands in SIZE_BANDS.items():
        assert {f"{each}_{band.name}" for each in ("recall", task) for band in bands} <= {*FIGURES["detection"]}


def test_every_figure_has_a_meaning() -> None:
    assert [name for names in FIGURES.values() for name in names if not meaning(name)] == []
