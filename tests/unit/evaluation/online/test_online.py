"""What is told about a gallery in use: figures, rows by source and day, and the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from facet.evaluation.online.run import INCONCLUSIVE, NOTHING_COMPARED, OnlineRun, by_day, by_source, figures
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.figure_names import FIGURES
from facet.evaluation.report.gate import parse_requirement
from facet.evaluation.report.html import render
from facet.v1 import observations_pb2 as pb

_DAY = datetime(2026, 3, 1, tzinfo=UTC)
_PROVENANCE = {
    "models": {},
    "contract": "c",
    "configuration": {},
    "data_set": {"labels": "counts of team", "sha256": "", "pictures": 0},
    "software": {"facet": "0"},
    "processor": "",
    "seed": None,
}


def _run() -> OnlineRun:
    door = pb.SourceAssessment(
        source="camera:door",
        faces=900,
        matches=600,
        refused=20,
        unknown_share=pb.ShareInterval(value=0.3, low=0.2, high=0.4),
        fpir=pb.ShareInterval(value=0.01, low=0.0, high=0.05),
        fnir=pb.ShareInterval(value=0.02, low=0.01, high=0.06),
        drift=pb.DriftAssessment(
            alarm=True,
            shifts=[
                pb.QuantityShift(quantity="sharpness", distance=0.6, limit=0.2, rise=-0.5, moved=True),
                pb.QuantityShift(quantity="yaw", distance=0.1, limit=0.2, rise=0.0),
            ],
        ),
    )
    caller = pb.SourceAssessment(
        source="caller:<app>",
        faces=100,
        matches=1,
        no_estimate="not calibrated",
        drift=pb.DriftAssessment(not_compared="too few faces"),
    )
    whole = pb.AssessGalleryResponse(sources=[caller, door], threshold=0.34)
    shares = {"recent": [0.9, 0.1, 0.0], "reference": [0.2, 0.8, 0.0], "edges": [0.0, 0.2, 0.4, 0.6]}
    return OnlineRun(whole, ((_DAY, whole),), {"camera:door": {"sharpness": shares}})


def _report(run: OnlineRun) -> Report:
    return document(
        "online",
        figures(run),
        curves={"online": {"days": by_day(run), "histograms": run.histograms}},
        tables={"by_source": by_source(run), "by_day": by_day(run)},
        provenance=_PROVENANCE,
        times={"date": "2026-03-02", "seconds": 1.0},
    )


def test_figures_are_those_of_the_source_with_the_most_faces_and_counts_those_of_all() -> None:
    found = _report(_run())
    assert found["source"] == "camera:door"
    assert found["unknown_share"] == {"value": 0.3, "low": 0.2, "high": 0.4}
    assert (found["faces"], found["matches"], found["refused_faces"]) == (1000, 601, 20)
    assert (found["sources"], found["compared_sources"], found["changed_sources"]) == (2, 1, 1)
    assert found["deployed_threshold"] == pytest.approx(0.34)
    assert set(FIGURES["online"]) <= set(found)


def test_a_source_tells_what_moved_or_why_it_was_not_judged() -> None:
    caller, door = by_source(_run())
    assert (door["changed"], door["moved"], door["note"]) == (True, "sharpness", "")
    assert (caller["changed"], caller["not_compared"], caller["note"]) == (None, "too few faces", "not calibrated")
    assert caller["fpir"] == {"value": None, "low": None, "high": None, "note": "not calibrated"}


def test_where_nothing_is_compared_no_requirement_of_changes_is_met_and_the_page_says_why() -> None:
    run = _run()
    run.whole.sources[1].drift.CopyFrom(pb.DriftAssessment(not_compared="too little reference"))
    found = _report(run)
    assert found["compared_sources"] == 0
    assert NOTHING_COMPARED in str(parse_requirement("changed_sources<=0").failure(found))
    page = render(found, {})
    assert NOTHING_COMPARED in page
    assert "<td>too little reference</td>" in page
    assert "<td>no</td>" not in page


def test_the_page_says_how_many_faces_it_is_about() -> None:
    page = " ".join(render(_report(_run()), {}).split())
    assert "counts of team, 1000 faces" in page
    assert "labelled ones that are judged" not in page


def test_a_figure_that_the_counts_do_not_tell_says_so() -> None:
    run = _run()
    run.whole.sources[1].fnir.CopyFrom(pb.ShareInterval(value=0.03, low=0.0, high=0.4, inconclusive=True))
    found = _report(run)
    assert found["fnir"] == {"value": None, "low": 0.0, "high": 0.4, "note": INCONCLUSIVE}
    assert "counts do not tell" in str(parse_requirement("fnir<=0.1").failure(found))
    assert "note" not in found["fpir"]
    assert INCONCLUSIVE in render(found, {})


def test_a_gallery_that_saw_nobody_has_no_figures() -> None:
    found = _report(OnlineRun(pb.AssessGalleryResponse(threshold=0.3), ()))
    assert found["fnir"]["note"] == "no faces"
    assert (found["faces"], found["source"], found["tables"]["by_source"]) == (0, "", [])


def test_the_page_has_plots_of_days_and_of_what_moved() -> None:
    page = render(_report(_run()), {})
    for title in ("By day: camera:door", "Sharpness: camera:door"):
        assert title in page
    assert "By day: caller" not in page
    assert "caller:&lt;app&gt;" in page
    assert len(re.findall("<svg", page)) == 2
