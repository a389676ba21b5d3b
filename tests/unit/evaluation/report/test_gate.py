"""Requirements on figures, and the document that they apply to."""

from __future__ import annotations

import json

import numpy as np
import pytest

from facet.evaluation.calls import Stopped
from facet.evaluation.intervals import Figure, none
from facet.evaluation.report.document import document, value_of
from facet.evaluation.report.gate import parse_requirement

DOCUMENT = document(
    "verification",
    {
        "accuracy": Figure(0.99, 0.98, 1.0),
        "fnir@fpir=0.01": Figure(0.02, 0.01, 0.03),
        "tar@far=1e-6": none("too few impostors"),
        "pairs": 100,
    },
    provenance={},
    times={},
)


@pytest.mark.parametrize("text", ["accuracy>=0.99", "accuracy < 1", "fnir@fpir=0.01<=0.02", "pairs>99", "pairs<=1e2"])
def test_a_met_requirement_has_no_failure(text: str) -> None:
    assert parse_requirement(text).failure(DOCUMENT) is None


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("accuracy>0.99", "accuracy>0.99: accuracy is 0.99"),
        ("fnir@fpir=0.01<=0.01", "fnir@fpir=0.01<=0.01: fnir@fpir=0.01 is 0.02"),
        ("tar@far=1e-6>=0", "tar@far=1e-6>=0: tar@far=1e-6 has no value (too few impostors)"),
        ("rank_1>=0.9", "rank_1>=0.9: there is no figure rank_1"),
        ("provenance>=0", "provenance>=0: provenance has no value"),
        ("partial<=1", "partial<=1: partial has no value"),
        ("kind<=1", "kind<=1: kind has no value"),
    ],
)
def test_an_unmet_requirement_says_why(text: str, failure: str) -> None:
    assert parse_requirement(text).failure(DOCUMENT) == failure


@pytest.mark.parametrize("text", ["", "accuracy", "accuracy>=", "accuracy>=high", ">=0.9", "accuracy=0.9", "0.1<a<0.2"])
def test_text_of_another_form_is_not_a_requirement(text: str) -> None:
    with pytest.raises(ValueError, match="is not a requirement"):
        parse_requirement(text)


def test_a_bound_that_is_not_a_number_is_never_met() -> None:
    assert parse_requirement("accuracy>=nan").failure(DOCUMENT)


def test_a_document_has_json_values_with_their_own_digits() -> None:
    figures = {"threshold": np.float32(0.34), "counts": np.arange(3), "share": Figure(0.5, 0.4, 0.6)}
    built = document("identification", figures, provenance={}, times={}, curves={"det": {"x": np.array([0.1])}})
    assert json.loads(json.dumps(built)) == built
    assert (built["threshold"], built["counts"]) == (0.34, [0, 1, 2])
    assert built["share"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert built["partial"] is False
    assert value_of(built, "share") == 0.5


def test_a_partial_document_says_where_the_run_stopped() -> None:
    built = document("detection", {}, provenance={}, times={}, stopped=Stopped("a.jpg", 3, 10, "UNAVAILABLE"))
    assert (built["partial"], built["done"], built["of"], built["stopped_at"]) == (True, 3, 10, "a.jpg")
