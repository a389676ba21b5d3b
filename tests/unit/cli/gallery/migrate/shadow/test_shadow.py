"""The figures of a shadow report fit a terminal of 80 columns, and add up."""

from __future__ import annotations

import re

from google.protobuf.timestamp_pb2 import Timestamp
from rich.cells import cell_len
from typer.testing import CliRunner

from facet.cli.app import app
from facet.cli.gallery.migrate.shadow import figures
from facet.v1 import migrations_pb2 as pb
from facet.v1 import recognition_service_pb2 as recognition_pb


def identified(decision: recognition_pb.Decision.ValueType, subject_id: str = "ann") -> recognition_pb.Identification:
    candidate = recognition_pb.Candidate(subject_id=subject_id, similarity=0.4, template_id="t")
    return recognition_pb.Identification(decision=decision, candidates=[candidate])


def summary(*places: int) -> pb.SimilaritySummary:
    counts = [0] * 40
    for place in places:
        counts[place] += 1
    return pb.SimilaritySummary(mean=0.5, counts=counts)


def test_a_histogram_begins_and_ends_with_the_similarities_that_there_are() -> None:
    report = pb.GetShadowReportResponse(
        serving_similarity=summary(20, 20, *[22] * 1000), shadow_similarity=summary(21, 39)
    )
    rows = figures.histogram(report)
    assert (rows[0][0], rows[-1][0], len(rows)) == ("0.00 to 0.05", "0.95 to 1.00", 20)
    shown = [[int(number) for number in re.findall(r"\d+$", bar)] for row in rows[:3] for bar in row[1:]]
    assert shown == [[2], [], [], [1], [1000], []]
    assert rows[0][1].startswith("█ ")  # two of a thousand have a bar, too
    assert max(sum(map(cell_len, row)) + 4 for row in rows) <= 80


def test_a_report_of_nothing_has_no_figures() -> None:
    report = pb.GetShadowReportResponse()
    assert figures.histogram(report) == []
    assert figures.summary(report) == [("compared", "0 faces")]


def test_what_was_dropped_or_could_not_be_compared_is_said() -> None:
    report = pb.GetShadowReportResponse(dropped=3, not_embedded=1)
    assert figures.summary(report) == [
        ("compared", "0 faces"),
        ("dropped", "3 identifications: the server was busy, or they failed"),
        ("not compared", "1 face of people whom the other model does not have yet"),
    ]


def test_the_interval_is_over_independent_faces() -> None:
    report = pb.GetShadowReportResponse(faces=10, since=Timestamp(seconds=1), agreement=0.9, independent_faces=4)
    assert figures.summary(report)[-1] == ("interval", "over 4 independent faces")


def test_all_faces_are_in_the_table_of_decisions() -> None:
    report = pb.GetShadowReportResponse(
        faces=15, same_subject=1, both_unknown=2, only_serving=3, only_shadow=4, different_subjects=5
    )
    numbers = [int(number) for row in figures.decisions(report) for number in re.findall(r"\d+", " ".join(row))]
    assert sum(numbers) == report.faces


def test_similarities_are_beside_the_thresholds_of_both_models() -> None:
    (row, *_) = figures.similarities(pb.GetShadowReportResponse(), (0.28, 0.4))
    assert row == ("threshold", "0.280", "0.400")


def test_a_decision_names_whom_a_model_found_or_came_close_to() -> None:
    assert figures.said(identified(recognition_pb.DECISION_MATCH)) == "ann 0.400"
    assert figures.said(identified(recognition_pb.DECISION_UNKNOWN)) == "nobody (ann 0.400)"
    assert figures.said(recognition_pb.Identification()) == "nobody"


def test_the_share_is_not_set_and_reported_at_once() -> None:
    ran = CliRunner().invoke(app, ["gallery", "migrate", "shadow", "team", "--share", "0.1", "--reset"])
    assert ran.exit_code == 2
    assert "--share" in ran.output
