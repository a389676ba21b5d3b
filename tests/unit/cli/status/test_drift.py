"""What facet status --drift shows of estimated errors and drift."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import typer
from rich.console import Console

from facet.cli.status.drift import as_plain, compares_nothing, has_alarm, read_span, rendered
from facet.v1 import observations_pb2 as pb


def answer(*, alarm: bool = False, no_estimate: str = "") -> dict[str, pb.AssessGalleryResponse]:
    """The answer about a gallery with one camera."""
    source = pb.SourceAssessment(source="camera:door", faces=1200, matches=700, no_estimate=no_estimate)
    if not no_estimate:
        source.unknown_share.CopyFrom(pb.ShareInterval(value=0.4, low=0.35, high=0.46))
        source.fpir.CopyFrom(pb.ShareInterval(value=0.001, low=0.0004, high=0.003))
        source.fnir.CopyFrom(pb.ShareInterval(value=0.02, low=0.01, high=0.04))
    source.drift.alarm = alarm
    source.drift.shifts.add(quantity="sharpness", distance=0.3, limit=0.1, rise=-0.3, moved=alarm)
    if alarm:
        source.drift.alarm_since.FromDatetime(datetime(2026, 11, 1, 8, tzinfo=UTC))
    return {"entrance": pb.AssessGalleryResponse(sources=[source], threshold=0.34)}


def printed(
    found: dict[str, pb.AssessGalleryResponse], *, width: int = 120, reference: tuple[datetime, datetime] | None = None
) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(rendered(found, reference))
    return captured.get()


def test_shares_are_shown_with_their_intervals() -> None:
    shown = printed(answer())
    for expected in (
        "entrance",
        "camera:door",
        "1200",
        "40 %",
        "35 to 46 %",
        "0.04 to 0.3 %",
        "none",
        "FNIR: share of",
    ):
        assert expected in shown


def test_a_share_that_the_counts_do_not_tell_is_unclear() -> None:
    found = answer()
    source = found["entrance"].sources[0]
    source.fnir.CopyFrom(pb.ShareInterval(value=0.03, low=0.0, high=0.4, inconclusive=True))
    shown = printed(found)
    assert "unclear" in shown
    assert "0 to 40 %" in shown
    assert "unclear: the counts do not tell the share" in shown
    assert "unclear" not in printed(answer())
    (plain,) = as_plain(found)["galleries"][0]["sources"]
    assert (plain["fnir"]["inconclusive"], plain["fpir"]["inconclusive"]) == (True, False)


def test_pictures_that_could_not_be_decoded_are_told() -> None:
    found = answer()
    found["entrance"].sources[0].undecoded = 3
    assert "camera:door sent 3 pictures that could not be decoded" in printed(found)
    (gallery,) = as_plain(found)["galleries"]
    assert gallery["sources"][0]["undecoded"] == 3


def test_a_quantity_that_no_change_can_move_is_named() -> None:
    found = answer()
    found["entrance"].sources[0].drift.shifts.add(quantity="face_size", distance=0.2, limit=1.0)
    assert "camera:door is not compared in face size: that varies too much" in printed(found)


def test_an_alarm_names_what_moved_and_since_when() -> None:
    assert has_alarm(answer(alarm=True))
    assert not has_alarm(answer())
    shown = printed(answer(alarm=True))
    assert "camera:door differs since 2026-11-01 08:00 UTC" in shown
    assert "sharpness fell: 0.30 apart, 0.10 are usual" in shown


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("too little reference", "it has 30: wait, or name another with --reference"),
        ("too few faces", "it takes 100 recent faces"),
    ],
)
def test_a_source_that_is_not_compared_says_what_to_do(reason: str, expected: str) -> None:
    found = answer()
    drift = found["entrance"].sources[0].drift
    drift.not_compared, drift.reference_faces = reason, 30
    assert expected in " ".join(printed(found).split())


def test_a_reference_period_without_faces_asks_for_another_one_instead_of_waiting() -> None:
    found = answer()
    found["entrance"].sources[0].drift.not_compared = "too little reference"
    span = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)
    said = " ".join(printed(found, reference=span).split())
    assert "--reference 2026-01-01T00:00..2026-01-08T00:00 has 0 faces" in said
    assert "name another" in said
    assert "wait" not in said


def test_sources_and_intervals_are_whole_on_a_terminal_of_80_columns() -> None:
    found = answer()
    source = found["entrance"].sources[0]
    source.source = "caller:anonymous"
    source.drift.not_compared = "too little reference"
    source.fnir.CopyFrom(pb.ShareInterval(value=0.03, low=0.0012, high=0.341, inconclusive=True))
    lines = printed(found, width=80).splitlines()
    assert any("caller:anonymous" in line and "unclear" in line for line in lines)
    assert any("0.12 to 34.1 %" in line for line in lines)


def test_a_new_camera_is_not_compared_and_raises_no_alarm() -> None:
    found = answer()
    assert not compares_nothing(found)
    found["entrance"].sources[0].drift.not_compared = "too little reference"
    assert compares_nothing(found)
    assert not has_alarm(found)
    assert as_plain(found)["compared_sources"] == 0


def test_a_gallery_without_calibration_says_what_to_do() -> None:
    assert "facet calibrate" in printed(answer(no_estimate="not calibrated"))
    (gallery,) = as_plain(answer(no_estimate="not calibrated"))["galleries"]
    assert gallery["sources"][0]["fpir"] is None


def test_without_faces_it_says_why() -> None:
    assert "no faces were counted" in printed({"entrance": pb.AssessGalleryResponse()})


def test_a_period_is_read_in_utc() -> None:
    assert read_span("", "--reference") is None
    assert read_span("2026-11-01..2026-11-02T06:00", "--reference") == (
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 11, 2, 6, tzinfo=UTC),
    )


@pytest.mark.parametrize("text", ["2026-11-01", "yesterday..today", "2026-11-02..2026-11-01"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        read_span(text, "--reference")
    assert ended.value.exit_code == 2
