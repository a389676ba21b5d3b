"""The arithmetic of evaluation over tracks, on answers and labels that are made up."""

from __future__ import annotations

import pytest

from facet.evaluation.datasets.track_labels import Span
from facet.evaluation.tracks.figures import FalseName, JudgedClip, SeenFrame, SeenTrack, judge
from facet.evaluation.tracks.report import TracksReport

LEFT, RIGHT = (0.0, 0.0, 50.0, 100.0), (50.0, 0.0, 100.0, 100.0)


def face(place: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x = (place[0] + place[2]) / 2
    return x - 10, 40, x + 10, 60


def track(number: int, subject: str = "", place: tuple[float, float, float, float] = LEFT) -> SeenTrack:
    return SeenTrack(number, subject, face=face(place))


def frames(*tracks: tuple[SeenTrack, ...], step: float = 0.5) -> list[SeenFrame]:
    return [SeenFrame(at * step, each) for at, each in enumerate(tracks)]


def judged(spans: list[Span], seen: list[SeenFrame], *, tolerance: float = 0.0) -> JudgedClip:
    return judge(spans, seen, len(seen) * 0.5, tolerance)


def test_a_presence_is_named_from_the_first_right_name_on() -> None:
    found = judged([Span(0.5, 2.5, "Ann")], frames((), (track(1),), (track(1, "Ann"),), (track(1, "Ann"),), (), ()))
    presence = found.presences[0]
    assert presence.identified_after == 0.5
    assert (presence.seconds, presence.named, presence.seen) == (2.0, 1.0, 1.5)
    assert presence.names == [(1.0, 2.0)]
    assert (found.false_names, found.seconds, found.named_falsely) == ((), 3.0, 0.0)


def test_nobody_is_asked_to_name_a_hidden_face_but_may() -> None:
    spans = [Span(0, 1, "Ann", presence="in"), Span(1, 2, "Ann", hidden=True, presence="in")]
    found = judged(spans, frames((), (), (track(1, "Ann"),), ()))
    presence = found.presences[0]
    assert (presence.seconds, presence.named) == (1.0, 0.0)
    assert presence.identified_after == 1.0
    assert found.false_names == ()


def test_a_name_is_false_where_its_subject_is_not() -> None:
    seen = frames((track(1, "Ann", RIGHT),), (track(1, "Ann", RIGHT),), (track(1, "Ann"),), (track(1, "Bo"),))
    found = judged([Span(0, 2, "Ann", region=LEFT)], seen)
    assert found.false_names == (FalseName(1, "Ann", ((0.0, 1.0),)), FalseName(1, "Bo", ((1.5, 2.0),)))
    assert found.named_falsely == 1.5
    assert found.presences[0].named == 0.5


def test_of_two_tracks_of_one_name_the_one_that_had_it_is_right() -> None:
    seen = frames((track(2, "Ann"),), (track(1, "Ann"), track(2, "Ann")))
    found = judged([Span(0, 1, "Ann")], seen)
    assert found.false_names == (FalseName(1, "Ann", ((0.5, 1.0),)),)
    assert (found.presences[0].named, found.presences[0].switches) == (1.0, 0)


def test_where_no_face_is_seen_the_person_tells_where_a_track_is() -> None:
    turned = SeenTrack(1, "Ann", person=(40, 0, 60, 100))
    assert turned.within(LEFT)
    assert turned.within(RIGHT)
    assert not SeenTrack(1, "Ann", person=(0, 0, 40, 100)).within(RIGHT)
    assert not SeenTrack(1, "Ann").within(RIGHT)
    assert SeenTrack(1, "Ann").within(None)
    found = judged([Span(0, 0.5, "Ann", region=RIGHT)], frames((turned,)))
    assert (found.presences[0].named, found.presences[0].seen) == (0.5, 0.0)


def test_another_track_that_takes_the_name_over_is_a_switch_also_after_a_pause() -> None:
    seen = frames((track(1, "Ann"),), (track(1),), (track(2, "Ann"),), (track(2, "Ann"),), (track(1, "Ann"),))
    assert judged([Span(0, 2.5, "Ann")], seen).presences[0].switches == 2


def test_a_new_presence_is_no_switch() -> None:
    seen = frames((track(1, "Ann"),), (), (track(2, "Ann"),))
    found = judged([Span(0, 0.5, "Ann"), Span(1, 1.5, "Ann")], seen)
    assert [each.switches for each in found.presences] == [0, 0]


def test_labels_that_are_a_little_off_make_no_false_name_and_no_right_one() -> None:
    seen = frames((track(1, "Ann"),), (track(1, "Ann"),), (track(1, "Ann"),), (track(1, "Ann"),))
    spans = [Span(0.6, 1.1, "Ann")]
    assert judged(spans, seen).false_names == (FalseName(1, "Ann", ((0.0, 1.0), (1.5, 2.0))),)
    found = judged(spans, seen, tolerance=0.5)
    assert found.false_names == (FalseName(1, "Ann", ((0.0, 0.5),)),)
    assert found.presences[0].named == 0.5
    assert found.presences[0].identified_after == pytest.approx(0.4)


def test_a_presence_that_begins_where_another_ends_is_not_named_by_its_names() -> None:
    seen = frames((track(1, "Ann"),), (), ())
    found = judged([Span(0, 0.5, "Ann"), Span(0.5, 1.5, "Ann")], seen, tolerance=0.5)
    assert [each.identified_after for each in found.presences] == [0.0, None]


def test_a_stranger_is_named_where_a_false_name_is_in_that_place() -> None:
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


def test_a_frame_that_failed_names_nobody() -> None:
    seen = [SeenFrame(0.0, (track(1, "Ann"),), 1), SeenFrame(0.5, failure="BAD_PICTURE"), SeenFrame(1.0, (), 2)]
    spans = [Span(0, 1.5, "Ann")]
    found = judged(spans, seen)
    assert found.presences[0].named == 0.5
    figures = TracksReport(found, seen, spans, seed=0).figures()
    assert (figures["frames"], figures["failed_frames"], figures["embeddings_per_frame"]) == (3, 1, 1.5)


def test_figures_of_several_people_have_intervals_and_those_of_one_say_why_not() -> None:
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


def test_who_was_never_named_is_slower_than_anybody() -> None:
    spans = [Span(0, 1, "Ann"), Span(1, 2, "Bo"), Span(2, 3, "Cy")]
    seen = frames((), (), (), (track(2, "Bo"),), (), ())
    figures = TracksReport(judged(spans, seen), seen, spans, seed=0).figures()
    assert figures["median_seconds_to_identify"].value is None
    assert "never named" in figures["median_seconds_to_identify"].note


def test_the_timeline_has_a_row_for_everybody_who_was_there_or_was_named() -> None:
    spans = [Span(0, 1, "Ann"), Span(1, 1.5, "Ann", hidden=True), Span(0, 2, "")]
    seen = frames((track(1, "Ann"),), (track(1, "Bo"),), (), ())
    timeline = TracksReport(judged(spans, seen), seen, spans, seed=0).curves()["timeline"]
    assert timeline["end"] == 2.0
    assert timeline["rows"] == [
        {"name": "Ann", "visible": [[0, 1]], "hidden": [[1, 1.5]], "named": [[0.0, 0.5]], "false": []},
        {"name": "Bo", "visible": [], "hidden": [], "named": [], "false": [[0.5, 1.0]]},
        {"name": "strangers", "visible": [[0, 2]]},
    ]


def test_nothing_answered_gives_figures_without_values() -> None:
    figures = TracksReport(judge([Span(0, 1, "Ann")], [], 0, 0), [], [Span(0, 1, "Ann")], seed=0).figures()
    assert figures["named_share"].value is None
    assert figures["false_names_per_minute"].value is None
    assert figures["identified"].value == 0
