"""What facet calibrate says about a threshold that cannot be relied on."""

from __future__ import annotations

from facet.cli.calibrate.forecasts import reasons
from facet.v1 import gallery_service_pb2 as pb
from facet.v1.gallery_service_pb2 import UNRELIABLE_REASON_CONTAMINATED, UNRELIABLE_REASON_UNCERTAIN


def said(enough: str, *why: pb.UnreliableReason.ValueType) -> str:
    forecast = pb.CalibrationForecast(fpir=0.01, fpir_high=0.03, unreliable_reasons=why)
    return " ".join(reasons(forecast, 0.3, against_itself=True, enough=enough))


def test_too_little_evidence_says_how_many_people_would_do() -> None:
    assert said("200", UNRELIABLE_REASON_UNCERTAIN) == (
        "The evidence is too little: the FPIR may be up to 3 %. About 200 people in the gallery would do."
    )


def test_more_people_are_not_asked_for_where_they_do_not_help() -> None:
    assert "would do" not in said("", UNRELIABLE_REASON_UNCERTAIN)
    assert "would do" not in said("200", UNRELIABLE_REASON_CONTAMINATED, UNRELIABLE_REASON_UNCERTAIN)
