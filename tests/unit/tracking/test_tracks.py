"""Tracks of people who come, turn, hide and go."""

from __future__ import annotations

import numpy as np
import pytest

from facet.tracking.decision import Decision
from tests.unit.tracking.synthetic_clip import (
    APPEARED,
    CHANGED,
    IDENTIFIED,
    LEFT,
    RATE,
    UNKNOWN,
    VECTORS,
    Clip,
    Person,
    only,
)


def test_a_person_appears_is_identified_and_leaves() -> None:
    clip = Clip("anne", "ben")
    clip.keep(Person("anne", 100), seconds=1)
    clip.keep(seconds=2)
    assert clip.log == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne"), (LEFT, 1, "anne")]
    appeared, identified, left = clip.events
    assert appeared.time == identified.time == 0
    assert identified.similarity == pytest.approx(1)
    assert 2.4 < left.time < 2.7


def test_a_track_reports_boxes_landmarks_quality_and_durations() -> None:
    clip = Clip("anne")
    person = Person("anne", 100)
    track = only(clip.keep(person, seconds=1))
    assert track.face_box is not None
    assert track.face_box.tolist() == person.face_box
    assert track.person_box is not None
    assert track.person_box.tolist() == person.body_box
    assert track.landmarks is not None
    assert track.landmarks.shape == (5, 2)
    assert track.quality is not None
    assert track.quality > 0.5
    assert track.identity.display_name == "Anne"
    assert track.tracked_for == track.decided_for == pytest.approx(14 / RATE)


def test_a_person_who_is_not_enrolled_becomes_unknown() -> None:
    clip = Clip("anne")
    assert clip.keep(Person("ben", 60), seconds=0.2).tracks[0].identity.decision is Decision.UNDECIDED
    assert only(clip.keep(Person("ben", 60), seconds=3)).identity.decision is Decision.UNKNOWN
    assert clip.log == [(APPEARED, 1, ""), (UNKNOWN, 1, "")]


def test_a_subject_that_is_no_longer_enrolled_changes_and_becomes_unknown_later() -> None:
    clip = Clip("anne", "ben")
    clip.keep(Person("anne", 60), seconds=3)
    clip.perception.subjects.remove("anne")
    clip.keep(Person("anne", 60), seconds=6)
    assert clip.log[2:] == [(CHANGED, 1, ""), (UNKNOWN, 1, "")]


def test_a_person_who_turns_away_keeps_the_name_while_the_body_is_visible() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100), seconds=1)
    away = only(clip.keep(Person("anne", 100, face=False), seconds=5))
    assert (away.track_id, away.identity.subject_id) == (1, "anne")
    assert away.face_box is None
    assert away.quality is None
    assert away.person_box is not None
    back = only(clip.keep(Person("anne", 100), seconds=1))
    assert back.track_id == 1
    assert len(clip.log) == 2


def test_a_short_occlusion_changes_nothing() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100), seconds=1)
    clip.keep(seconds=1)
    assert only(clip.keep(Person("anne", 100), seconds=1)).track_id == 1
    assert len(clip.log) == 2


def test_a_hidden_person_is_predicted_for_a_short_time() -> None:
    clip = Clip("anne")
    for frame in range(15):
        clip.show(Person("anne", 100 + 4 * frame))
    expected = only(clip.show())
    assert expected.face_box is None
    assert expected.person_box is not None
    assert expected.person_box[0] == pytest.approx(100 + 4 * 15, abs=5)
    assert clip.keep(seconds=0.7).tracks == ()


def test_a_person_who_reappears_elsewhere_is_reidentified_by_face() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 60), seconds=1)
    clip.keep(seconds=1)
    assert only(clip.keep(Person("anne", 480), seconds=1)).track_id == 1
    assert len(clip.log) == 2


def test_a_face_without_a_body_is_a_track() -> None:
    clip = Clip("anne")
    track = only(clip.keep(Person("anne", 100, body=False), seconds=1))
    assert track.person_box is None
    assert track.identity.subject_id == "anne"


def test_a_body_is_a_track_and_is_identified_when_its_face_appears() -> None:
    clip = Clip("anne")
    assert only(clip.keep(Person("anne", 100, face=False), seconds=1)).identity.decision is Decision.UNDECIDED
    assert only(clip.keep(Person("anne", 100), seconds=1)).identity.subject_id == "anne"
    assert clip.log == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne")]


def test_a_face_gets_its_body_when_that_is_detected() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100, body=False), seconds=1)
    track = only(clip.keep(Person("anne", 100), seconds=1))
    assert track.track_id == 1
    assert track.person_box is not None


def test_two_people_who_cross_keep_their_names() -> None:
    clip = Clip("anne", "ben")
    for frame in range(60):
        step = clip.show(Person("anne", 20 + 7 * frame), Person("ben", 440 - 7 * frame, y=48))
    assert [(track.track_id, track.identity.subject_id) for track in step.tracks] == [(1, "anne"), (2, "ben")]
    assert CHANGED not in [kind for kind, *_ in clip.log]


def test_a_subject_is_in_a_frame_only_once() -> None:
    clip = Clip("anne")
    step = clip.keep(Person("anne", 40), Person("anne", 400), seconds=2)
    assert [track.identity.subject_id for track in step.tracks].count("anne") == 1


def test_twins_in_view_have_the_name_once_at_a_bounded_cost_and_the_other_gets_it_when_the_first_has_left() -> None:
    clip = Clip("anne", "ben")
    clip.keep(Person("anne", 40), Person("anne", 400), seconds=4)
    clip.steps.clear()
    clip.keep(Person("anne", 40), Person("anne", 400), seconds=4)
    subjects = [[track.identity.subject_id for track in step.tracks] for step in clip.steps]
    assert all(each == subjects[0] and sorted(each) == ["", "anne"] for each in subjects)
    assert clip.events == []
    assert sum(step.embedded for step in clip.steps) / len(clip.steps) < 0.25
    step = clip.show(Person("anne", 40 if subjects[0][0] == "" else 400))
    assert [track.identity.subject_id for track in step.tracks if track.face_box is not None] == ["anne"]


def test_a_track_whose_subject_another_one_has_gets_its_next_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = np.zeros(8, np.float32)
    twin[:2] = 0.8, 0.6
    monkeypatch.setitem(VECTORS, "ben", twin)
    monkeypatch.setitem(VECTORS, "carl", VECTORS["anne"])
    clip = Clip("anne", "ben")
    step = clip.keep(Person("anne", 40, body=False), Person("carl", 400, body=False), seconds=1)
    assert sorted(track.identity.subject_id for track in step.tracks) == ["anne", "ben"]
    assert CHANGED not in [kind for kind, *_ in clip.log]


def test_another_face_on_a_body_that_had_turned_away_starts_a_new_track() -> None:
    clip = Clip("anne", "ben")
    clip.keep(Person("anne", 100), seconds=1)
    clip.keep(Person("anne", 100, face=False), seconds=1)
    assert only(clip.show(Person("ben", 100))).identity.subject_id == "ben"
    clip.keep(Person("ben", 100), seconds=2)
    assert clip.log[2:] == [(APPEARED, 2, ""), (IDENTIFIED, 2, "ben"), (LEFT, 1, "anne")]


def test_a_face_that_suddenly_grows_starts_a_new_track() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100, body=False), seconds=1)
    assert [track.track_id for track in clip.show(Person("ben", 80, body=False, size=1.8)).tracks] == [2]


def test_a_low_score_is_confirmed_by_a_second_detection() -> None:
    clip = Clip("anne")
    assert clip.show(Person("anne", 100, score=0.6)).tracks == ()
    assert only(clip.show(Person("anne", 100, score=0.6))).track_id == 1


def test_a_low_score_without_a_second_detection_is_no_track() -> None:
    clip = Clip("anne")
    clip.show(Person("anne", 100, score=0.6))
    clip.keep(seconds=3)
    assert clip.log == []
    assert only(clip.show(Person("anne", 100))).track_id == 1


def test_all_tracks_leave_at_the_end_at_the_time_of_the_last_frame() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100), Person("ben", 400), seconds=1)
    left = clip.tracker.finish(clip.perception.enrolled)
    assert [(event.kind, event.track_id, event.subject_id) for event in left] == [(LEFT, 1, "anne"), (LEFT, 2, "")]
    assert {event.time for event in left} == {clip.time - 1 / RATE}
    assert clip.tracker.finish(clip.perception.enrolled) == ()


def test_the_end_without_frames_has_no_events() -> None:
    clip = Clip()
    assert clip.tracker.finish(clip.perception.enrolled) == ()
