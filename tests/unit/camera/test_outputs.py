"""What camera.py writes, counts and says."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from facet.camera.output import Events, OutputError, Video, Window, event_line, event_row
from facet.camera.source import Frame
from facet.camera.stream_statistics import Tally
from facet.terminal.drawing import draw_tracks
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Box

FPS = 10.0


def grey(value: int, width: int = 64, height: int = 48) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), value, np.uint8)


def written(path: Path) -> list[int]:
    """The grey of every frame of a video, to the nearest 50."""
    capture = cv2.VideoCapture(str(path))
    values: list[int] = []
    while True:
        found, picture = capture.read()
        if not found or picture is None:
            return values
        values.append(50 * round(float(np.asarray(picture).mean()) / 50))


def track(decision: pb.TrackDecision.ValueType, subject_id: str = "", **fields: object) -> pb.Track:
    box = Box(x1=20, y1=20, x2=40, y2=40)
    return pb.Track(track_id=1, face_box=box, decision=decision, subject_id=subject_id, **fields)  # type: ignore[arg-type]


def identified(similarity: float = 0.5) -> pb.TrackEvent:
    event = pb.TrackEvent(
        kind=pb.TRACK_EVENT_KIND_IDENTIFIED,
        track_id=3,
        subject_id="yao",
        display_name="Yao Ming",
        similarity=similarity,
    )
    event.time.FromDatetime(datetime(2025, 1, 2, 3, 4, 5, 678000, UTC))
    return event


def test_a_picture_stands_in_the_video_until_the_next_one(tmp_path: Path) -> None:
    video = Video(tmp_path / "out.mp4", FPS)
    for value, seconds in ((0, 5.0), (50, 5.1), (100, 5.2), (200, 5.5)):
        video.add(grey(value), seconds)
    video.close()
    assert written(tmp_path / "out.mp4") == [0, 50, 100, 100, 100, 200]


def test_a_long_gap_is_short_in_the_video(tmp_path: Path) -> None:
    video = Video(tmp_path / "out.mp4", FPS)
    for value, seconds in ((0, 0.0), (50, 3600.0), (100, 3600.1)):
        video.add(grey(value), seconds)
    video.close()
    assert written(tmp_path / "out.mp4") == [0] * 20 + [50, 100]


def test_of_pictures_that_come_too_fast_the_last_is_in_the_video(tmp_path: Path) -> None:
    video = Video(tmp_path / "out.mp4", FPS)
    for value, seconds in ((0, 0.0), (50, 0.1), (100, 0.12), (150, 0.2)):
        video.add(grey(value), seconds)
    video.close()
    assert written(tmp_path / "out.mp4") == [0, 100, 150]


def test_pictures_of_any_size_become_a_video_of_the_first_ones(tmp_path: Path) -> None:
    video = Video(tmp_path / "out.mp4", FPS)
    video.add(grey(50, 65, 49), 0.0)
    video.add(grey(100, 128, 40), 0.1)
    video.close()
    assert written(tmp_path / "out.mp4") == [50, 100]


def test_without_pictures_there_is_no_video(tmp_path: Path) -> None:
    Video(tmp_path / "out.mp4", FPS).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["no-such-folder/out.mp4", "."])
def test_an_output_that_cannot_be_written_is_told_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        Video(tmp_path / name, FPS)
    with pytest.raises(OutputError, match="cannot write"):
        Events(tmp_path / name)


def test_a_video_of_a_kind_that_opencv_does_not_make_is_told(tmp_path: Path) -> None:
    video = Video(tmp_path / "out.nonsense", FPS)
    with pytest.raises(OutputError, match="OpenCV makes no video"):
        video.add(grey(0), 0.0)


def test_events_are_lines_and_those_of_before_stay(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    for number in range(2):
        events = Events(file)
        events.add({"event": "appeared", "track_id": number})
        assert len(file.read_text().splitlines()) == number + 1, "each is written as it comes"
        events.close()
    assert [json.loads(line)["track_id"] for line in file.read_text().splitlines()] == [0, 1]


def test_an_event_as_a_line_of_json() -> None:
    row = event_row("door", 2, 17, identified(), 1.23456, recorded=False)
    assert row == {
        "seconds": 1.235,
        "time": "2025-01-02T03:04:05.678+00:00",
        "camera": "door",
        "connection": 2,
        "frame_id": 17,
        "event": "identified",
        "track_id": 3,
        "subject_id": "yao",
        "display_name": "Yao Ming",
        "previous_subject_id": None,
        "similarity": 0.5,
    }
    assert event_row("door", 1, 17, identified(), 1.0, recorded=True)["time"] is None


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (pb.TrackEvent(kind=pb.TRACK_EVENT_KIND_APPEARED, track_id=1), "#1 appeared"),
        (identified(), "#3 is Yao Ming, similarity 0.50"),
        (pb.TrackEvent(kind=pb.TRACK_EVENT_KIND_LEFT, track_id=1), "#1 left"),
        (pb.TrackEvent(kind=pb.TRACK_EVENT_KIND_LEFT, track_id=1, subject_id="yao"), "#1 left: yao"),
        (
            pb.TrackEvent(kind=pb.TRACK_EVENT_KIND_CHANGED, track_id=1, subject_id="tim", previous_subject_id="yao"),
            "#1 is tim, not yao",
        ),
        (
            pb.TrackEvent(kind=pb.TRACK_EVENT_KIND_CHANGED, track_id=1, previous_subject_id="yao"),
            "has no name any more",
        ),
    ],
)
def test_an_event_for_people(event: pb.TrackEvent, said: str) -> None:
    assert event_line(event, 2.5, recorded=True).startswith("     2.50 s  #")
    assert event_line(event, 2.5, recorded=True).endswith(said)


@pytest.mark.skipif(bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")), reason="there is a screen")
def test_a_window_without_a_screen_is_told_not_crashed_on() -> None:
    with pytest.raises(OutputError, match="needs a screen"):
        Window("door")


def test_tracks_are_drawn_on_a_copy() -> None:
    picture = grey(0, 640, 480)
    drawn = draw_tracks(picture, [track(pb.TRACK_DECISION_IDENTIFIED, "yao"), track(pb.TRACK_DECISION_UNDECIDED)])
    assert drawn.shape == picture.shape
    assert drawn.any()
    assert not picture.any()


def test_a_tally_knows_who_was_there_and_what_was_dropped_over_all_streams() -> None:
    now = 0.0
    tally = Tally(recorded=True, ages=True, clock=lambda: now)
    known = track(pb.TRACK_DECISION_IDENTIFIED, "yao", display_name="Yao Ming")
    nobody = track(pb.TRACK_DECISION_UNKNOWN)
    for connection, frame_id, tracks, dropped in ((1, 1, [known], 0), (1, 3, [known, nobody], 1), (2, 4, [nobody], 2)):
        now = frame_id / 10 + 0.05
        frame = Frame(grey(0), b"", frame_id / 10, frame_id / 10)
        events = [identified()] if frame_id == 1 else []
        answer = pb.IdentifyStreamResponse(
            frame_id=frame_id, dropped=dropped, tracks=tracks, events=events, embedded=1, detected=True
        )
        tally.count(connection, answer, frame)
    answer = pb.IdentifyStreamResponse(frame_id=5, dropped=2)
    answer.status.code = 3
    tally.count(2, answer, None)
    summary = tally.summary()
    assert (summary["answered"], summary["failed"], summary["dropped"]) == (3, 1, 3)
    assert summary["errors"] == {"INVALID_ARGUMENT": 1}
    assert summary["events"] == {"appeared": 0, "identified": 1, "changed": 0, "left": 0}
    assert summary["people"] == [
        {"subject_id": "yao", "display_name": "Yao Ming", "first_seconds": 0.1, "last_seconds": 0.3, "frames": 2}
    ]
    assert summary["age_p50_ms"] == pytest.approx(50, rel=0.02)
    assert "nobody" in tally.line().plain


def test_the_line_says_who_is_there() -> None:
    tally = Tally(recorded=False, ages=False, clock=lambda: 1.0)
    tracks = [
        track(pb.TRACK_DECISION_UNDECIDED),
        track(pb.TRACK_DECISION_IDENTIFIED, "yao"),
        track(pb.TRACK_DECISION_UNKNOWN),
        track(pb.TRACK_DECISION_UNKNOWN),
    ]
    tally.count(1, pb.IdentifyStreamResponse(tracks=tracks, dropped=4), None)
    line = tally.line().plain
    assert "dropped 4" in line
    assert line.endswith("yao, 2 unknown, 1 undecided")
    assert "age" not in line
