"""What facet calibrate says about a threshold that cannot be relied on."""

from __future__ import annotations

from facet.cli.calibrate.forecasts import from_metadata, reasons, sentences, wide_interval
from facet.v1 import gallery_service_pb2 as pb
from facet.v1.gallery_service_pb2 import UNRELIABLE_REASON_CONTAMINATED, UNRELIABLE_REASON_UNCERTAIN


def said(enough: int | None, *why: pb.UnreliableReason.ValueType) -> str:
    forecast = pb.CalibrationForecast(fpir=0.01, fpir_high=0.03, unreliable_reasons=why, people_needed=enough)
    return " ".join(reasons(forecast, 0.3, against_itself=True))


def test_too_little_evidence_says_how_many_people_would_do() -> None:
    assert said(200, UNRELIABLE_REASON_UNCERTAIN) == (
        "The evidence is too little: the FPIR may be up to 3 %. About 200 people in the gallery would do."
    )


def test_more_people_are_not_asked_for_where_they_do_not_help() -> None:
    assert "would do" not in said(None, UNRELIABLE_REASON_UNCERTAIN)
    assert "would do" not in said(200, UNRELIABLE_REASON_CONTAMINATED, UNRELIABLE_REASON_UNCERTAIN)


def test_the_error_of_a_refusal_says_how_many_people_would_do_as_the_answer_to_a_dry_run_does() -> None:
    forecast = from_metadata({"reasons": "UNCERTAIN", "fpir": "0.01", "fpir_high": "0.03", "people_needed": "200"})
    assert "About 200 people in the gallery would do." in " ".join(reasons(forecast, 0.3, against_itself=True))


def test_a_missed_picture_that_seems_to_show_somebody_else_does_not_contradict_that_nobody_is_missed() -> None:
    forecast = pb.CalibrationForecast(fnir=0, own_search_count=123, own_missed_count=1, own_missed_subject_count=1)
    assert list(sentences(forecast))[1] == (
        "Compared with the others of the same person, 1 of 123 enrolled pictures would be missed (1 person); it seems "
        "to show somebody else and does not count in the FNIR."
    )
    forecast.fnir = 0.01
    assert "somebody else" not in " ".join(sentences(forecast))


def test_few_strangers_are_said_to_be_few() -> None:
    chosen = pb.Calibration(target_fpir=0.01, fpir=0, fpir_high=0.0381, identity_count=100)
    assert wide_interval(chosen) == (
        "The evidence is little: the FPIR may be up to 3.81 %. Pictures of about 1000 strangers would narrow that to "
        "about twice the target."
    )
    chosen.fpir_high = 0.02
    assert not wide_interval(chosen)
    chosen.fpir_high, chosen.identity_count = 0.03, 1000
    assert not wide_interval(chosen), "more strangers would not help"
