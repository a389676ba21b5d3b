"""Frames over time: detection intervals, cuts, gaps, sizes and capture times."""

from __future__ import annotations

import pytest

from facet.tracking.records import TrackerSettings, TrackEvent
from tests.unit.tracking.synthetic_clip import APPEARED, IDENTIFIED, LEFT, RATE, Clip, Person, only, painted


@pytest.mark.parametrize(("interval", "rate"), [(10, 5), (100, 15), (1, 1.2)])
def test_detection_runs_more_often_at_low_frame_rates_without_more_embeddings(interval: int, rate: float) -> None:
    clip = Clip("anne", settings=TrackerSettings(detection_interval=interval))
    embedded = 0
    for number in range(60):
        clip.time = number / rate
        embedded += clip.show(Person("anne", 100)).embedded
    assert clip.log == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne")]
    assert embedded < 30


def test_boxes_move_between_detections() -> None:
    clip = Clip("anne", settings=TrackerSettings(detection_interval=3))
    for frame in range(30):
        step = clip.show(Person("anne", 20 + 6 * frame))
    assert [step.detections is not None for step in clip.steps] == [True, False, False] * 10
    assert clip.perception.detections == 10
    track = only(step)
    assert track.face_box is not None
    assert track.landmarks is not None
    assert track.face_box[0] == pytest.approx(Person("anne", 20 + 6 * 29).face_box[0], abs=8)
    assert track.landmarks[2, 0] == pytest.approx(track.face_box[[0, 2]].mean(), abs=1)
    assert track.identity.subject_id == "anne"


def test_after_a_cut_tracks_continue_by_face_and_not_by_place() -> None:
    clip = Clip("anne", "ben", settings=TrackerSettings(detection_interval=5))
    clip.keep(Person("anne", 60), Person("ben", 400), seconds=1)
    cut = clip.show(Person("ben", 60), scenery=2)
    assert cut.detections is not None
    assert [(track.track_id, track.identity.subject_id) for track in cut.tracks] == [(2, "ben")]
    for _ in range(2 * RATE):
        clip.show(Person("ben", 60), scenery=2)
    assert clip.log[-1] == (LEFT, 1, "anne")


@pytest.mark.parametrize("gap", [5.0, 3600.0, 250e9])
def test_tracks_continue_by_face_after_a_long_gap(gap: float) -> None:
    clip = Clip("anne", "ben")
    clip.keep(Person("anne", 100), Person("ben", 400), seconds=1)
    clip.time += gap
    step = clip.show(Person("anne", 400))
    assert [(track.track_id, track.identity.subject_id) for track in step.tracks] == [(1, "anne")]
    assert clip.log[-1] == (LEFT, 2, "ben")


def test_frames_may_change_size() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 400), seconds=1)
    step = clip.show(Person("anne", 40, y=10), size=(330, 240))
    assert (only(step).track_id, only(step).identity.subject_id) == (1, "anne")


def test_capture_times_may_go_back() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100), seconds=1)
    clip.time -= 1000
    assert only(clip.keep(Person("anne", 100), seconds=1)).track_id == 1
    clip.keep(seconds=2)
    assert clip.log[-1] == (LEFT, 1, "anne")


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_a_time_that_is_not_finite_is_refused_and_changes_nothing(time: float) -> None:
    clip = Clip("anne")
    clip.show(Person("anne", 100))
    with pytest.raises(ValueError, match="finite"):
        clip.tracker.step(painted([]), time, clip.perception)
    assert only(clip.show(Person("anne", 100))).track_id == 1


def test_the_same_frames_give_the_same_events() -> None:
    def replay() -> list[TrackEvent]:
        clip = Clip("anne", "ben", settings=TrackerSettings(detection_interval=2))
        for frame in range(90):
            clip.show(
                *([Person("anne", 10 + 5 * frame)] if frame < 60 else []),
                *([Person("ben", 450 - 4 * frame, face=frame % 20 < 10)] if frame > 10 else []),
                *([Person("carl", 250, score=0.55)] if 30 < frame < 50 else []),
            )
        return clip.events

    assert replay() == replay()
