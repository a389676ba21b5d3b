"""Identification over tracks, with made-up answers and labels."""

from __future__ import annotations

import pytest

from facet.evaluation.datasets.track_labels import Span
from facet.evaluation.tracks.figures import ClipResult, FalseName, FrameAnswer, TrackAnswer, judge_clip
from facet.evaluation.tracks.report import TracksReport

LEFT, RIGHT = (0.0, 0.0, 50.0, 100.0), (50.0, 0.0, 100.0, 100.0)


def face(place: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x = (place[0] + place[2]) / 2
    return x - 10, 40, x + 10, 60


def track(number: int, subject: str = "", place: tuple[float, float, float, float] = LEFT) -> TrackAnswer:
    return TrackAnswer(number, subject, face=face(place))


def frames(*tracks: tuple[TrackAnswer, ...], step: float = 0.5) -> list[FrameAnswer]:
    return [FrameAnswer(at * step, each) for at, each in enumerate(tracks)]


def judged(spans: list[Span], seen: list[FrameAnswer], *, tolerance: float = 0.0) -> ClipResult:
    return judge_clip(spans, seen, len(seen) * 0.5, tolerance)


def test_a_presence_is_named_from_its_first_right_name() -> None:
    found = judged([Span(0.5, 2.5, "Ann")], frames((), (track(1),), (track(1, "Ann"),), (track(1, "Ann"),), (), ()))
    presence = found.presences[0]
    assert presence.identified_after == 0.5
    assert (presence.seconds, presence.named, presence.seen) == (2.0, 1.0, 1.5)
    assert presence.names == [(1.0, 2.0)]
    assert (found.false_names, found.seconds, found.falsely_named) == ((), 3.0, 0.0)


def test_a_hidden_face_may_be_named_but_need_not() -> None:
    spans = [Span(0, 1, "Ann", presence="in"), Span(1, 2, "Ann", hidden=True, presence="in")]
    found = judged(spans, frames((), (), (track(1, "Ann"),), ()))
    presence = found.presences[0]
    assert (presence.seconds, presence.named) == (1.0, 0.0)
    assert presence.identified_after == 1.0
    assert found.false_names == ()


def test_a_name_is_false_at_a_place_or_time_without_its_subject() -> None:
    seen = frames((track(1, "Ann", RIGHT),), (track(1, "Ann", RIGHT),), (track(1, "Ann"),), (track(1, "Bo"),))
    found = judged([Span(0, 2, "Ann", region=LEFT)], seen)
    assert found.false_names == (FalseName(1, "Ann", ((0.0, 1.0),)), FalseName(1, "Bo", ((1.5, 2.0),)))
    assert found.falsely_named == 1.5
    assert found.presences[0].named == 0.5


def test_of_two_tracks_with_one_name_the_first_holder_is_right() -> None:
    seen = frames((track(2, "Ann"),), (track(1, "Ann"), track(2, "Ann")))
    found = judged([Span(0, 1, "Ann")], seen)
    assert found.false_names == (FalseName(1, "Ann", ((0.5, 1.0),)),)
    assert (found.presences[0].named, found.presences[0].switches) == (1.0, 0)


def test_without_a_face_the_person_box_locates_a_track() -> None:
    turned = TrackAnswer(1, "Ann", person=(40, 0, 60, 100))
    assert turned.within(LEFT)
    assert turned.within(RIGHT)
    assert not TrackAnswer(1, "Ann", person=(0, 0, 40, 100)).within(RIGHT)
    assert not TrackAnswer(1, "Ann").within(RIGHT)
    assert TrackAnswer(1, "Ann").within(None)
    found = judged([Span(0, 0.5, "Ann", region=RIGHT)], frames((turned,)))
    assert (found.presences[0].named, found.presences[0].seen) == (0.5, 0.0)


def test_a_name_on_another_track_is_a_switch_even_after_a_pause() -> None:
    seen = frames((track(1, "Ann"),), (track(1),), (track(2, "Ann"),), (track(2, "Ann"),), (track(1, "Ann"),))
    assert judged([Span(0, 2.5, "Ann")], seen).presences[0].switches == 2


def test_a_new_presence_is_not_a_switch() -> None:
    seen = frames((track(1, "Ann"),), (), (track(2, "Ann"),))
    found = judged([Span(0, 0.5, "Ann"), Span(1, 1.5, "Ann")], seen)
    assert [each.switches for each in found.presences] == [0, 0]


def test_a_name_within_the_tolerance_is_neither_false_nor_right() -> None:
    seen = frames((track(1, "Ann"),), (track(1, "Ann"),), (track(1, "Ann"),), (track(1, "Ann"),))
    spans = [Span(0.6, 1.1, "Ann")]
    assert judged(spans, seen).false_names == (FalseName(1, "Ann", ((0.0, 1.0), (1.5, 2.0))),)
    found = judged(spans, seen, tolerance=0.5)
    assert found.false_names == (FalseName(1, "Ann", ((0.0, 0.5),)),)
    assert found.presences[0].named == 0.5
    assert found.presences[0].identified_after == pytest.approx(0.4)


def test_a_name_does_not_count_for_the_next_presence() -> None:
    seen = frames((track(1, "Ann"),), (), ())
    found = judged([Span(0, 0.5, "Ann"), Span(0.5, 1.5, "Ann")], seen, tolerance=0.5)
    assert [each.identified_after for each in found.presences] == [0.0, None]


def test_a_stranger_is_named_by_a_false_name_at_that_place() -> None:
    spans = [Span(0, 1, "", region=LEFT), Span(0, 1, "", region=RIGHT), Span(1, 2, ""), Span(2, 3, "")]
    seen = frames((track(1, "Ann"),), (), (track(1, "Ann"),), (track(1, "Ann"),), (), ())
    found = judged(spans, seen)
    assert [each.named for each in found.strangers] == [0.5, 0.0, 1.0, 0.0]
    figures = TracksReport(found, seen, spans, seed=0).figures()
    assert (figures["strangers"], figures["strangers_named"].value) == (4, 0.5)
    assert 0.1 < figures["strangers_named"].low < 0.2
    assert figures["false_names"] == 1
    assert figures["false_names_per_minute"].value == pytest.approx(20)
    assert figures["named_share"].value is None


def test_a_failed_frame_names_nobody() -> None:
    seen = [FrameAnswer(0.0, (track(1, "Ann"),), 1), FrameAnswer(0.5, failure="BAD_PICTURE"), FrameAnswer(1.0, (), 2)]
    spans = [Span(0, 1.5, "Ann")]
    found = judged(spans, seen)
    assert found.presences[0].named == 0.5
    figures = TracksReport(found, seen, spans, seed=0).figures()
    assert (figures["frames"], figures["failed_frames"], figures["embeddings_per_frame"]) == (3, 1, 1.5)


def test_figures_of_several_people_have_intervals_and_those_of_one_a_note() -> None:
    spans = [Span(at, at + 1, name) for at, name in enumerate(("Ann", "Bo", "Cy", "Di"))]
    named = [(track(1, "Ann"),), (track(1, "Ann"),), (), (track(2, "Bo"),), (track(3, "Cy"),), (), (), ()]
    seen = frames(*named)
    figures = TracksReport(judged(spans, seen), seen, spans, seed=0).figures()
    assert figures["identified"].value == 0.75
    assert figures["identified"].low < 0.75 < figures["identified"].high
    assert figures["identified_within_1s"].value == 0.75
    assert figures["named_share"].value == 0.5
    assert figures["named_share"].low < 0.5 < figures["named_share"].high
    assert figures["median_seconds_to_identify"].value == 0.0
    assert figures["worst_seconds_to_identify"].value is None
    assert figures["worst_seconds_to_identify"].note == "1 of 4 presences were never named"
    alone = TracksReport(judged(spans[:1], seen[:2]), seen[:2], spans[:1], seed=0).figures()
    for name in ("identified", "named_share", "median_seconds_to_identify"):
        assert (alone[name].low, alone[name].high) == (None, None)
        assert "no interval" in alone[name].note
    assert alone["false_names_per_minute"].value == 0
    assert alone["false_names_per_minute"].high == pytest.approx(180)


def test_a_presence_that_was_never_named_ranks_last() -> None:
    spans = [Span(0, 1, "Ann"), Span(1, 2, "Bo"), Span(2, 3, "Cy")]
    seen = frames((), (), (), (track(2, "Bo"),), (), ())
    figures = TracksReport(judged(spans, seen), seen, spans, seed=0).figures()
    assert figures["median_seconds_to_identify"].value is None
    assert "never named" in figures["median_seconds_to_identify"].note


def test_the_timeline_has_a_row_for_every_subject_present_or_named() -> None:
    spans = [Span(0, 1, "Ann"), Span(1, 1.5, "Ann", hidden=True), Span(0, 2, "")]
    seen = frames((track(1, "Ann"),), (track(1, "Bo"),), (), ())
    timeline = TracksReport(judged(spans, seen), seen, spans, seed=0).curves()["timeline"]
    assert timeline["end"] == 2.0
    assert timeline["rows"] == [
        {"name": "Ann", "visible": [[0, 1]], "hidden": [[1, 1.5]], "named": [[0.0, 0.5]], "false": []},
        {"name": "Bo", "visible": [], "hidden": [], "named": [], "false": [[0.5, 1.0]]},
        {"name": "strangers", "visible": [[0, 2]]},
    ]


def test_without_answers_figures_have_no_value() -> None:
    figures = TracksReport(judge_clip([Span(0, 1, "Ann")], [], 0, 0), [], [Span(0, 1, "Ann")], seed=0).figures()
    assert figures["named_share"].value is None
    assert figures["false_names_per_minute"].value is None
    assert figures["identified"].value == 0
