"""Statistics of answers, and tracks drawn on a picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.camera.reader import Frame
from facet.camera.stream_statistics import StreamStatistics
from facet.terminal.pictures.drawing import draw_tracks
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Box
from tests.unit.camera.samples import identified


def grey(value: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def track(decision: pb.TrackDecision.ValueType, subject_id: str = "", **fields: object) -> pb.Track:
    box = Box(x1=20, y1=20, x2=40, y2=40)
    return pb.Track(track_id=1, face_box=box, decision=decision, subject_id=subject_id, **fields)  # type: ignore[arg-type]


def test_tracks_are_drawn_on_a_copy() -> None:
    picture = grey(0, 640, 480)
    drawn = draw_tracks(picture, [track(pb.TRACK_DECISION_IDENTIFIED, "yao"), track(pb.TRACK_DECISION_UNDECIDED)])
    assert drawn.shape == picture.shape
    assert drawn.any()
    assert not picture.any()


def test_statistics_cover_all_streams() -> None:
    now = 0.0
    statistics = StreamStatistics(recorded=True, measure_ages=True, clock=lambda: now)
    known = track(pb.TRACK_DECISION_IDENTIFIED, "yao", display_name="Yao Ming")
    nobody = track(pb.TRACK_DECISION_UNKNOWN)
    for connection, frame_id, tracks, dropped in ((1, 1, [known], 0), (1, 3, [known, nobody], 1), (2, 4, [nobody], 2)):
        now = frame_id / 10 + 0.05
        frame = Frame(grey(0), b"", frame_id / 10, frame_id / 10)
        events = [identified()] if frame_id == 1 else []
        answer = pb.IdentifyStreamResponse(
            frame_id=frame_id, dropped=dropped, tracks=tracks, events=events, embedded=1, detected=True
        )
        statistics.count(connection, answer, frame)
    answer = pb.IdentifyStreamResponse(frame_id=5, dropped=2)
    answer.status.code = 3
    statistics.count(2, answer, None)
    summary = statistics.summary()
    assert (summary["answered"], summary["failed"], summary["dropped"]) == (3, 1, 3)
    assert summary["errors"] == {"INVALID_ARGUMENT": 1}
    assert summary["events"] == {"appeared": 0, "identified": 1, "changed": 0, "unknown": 0, "left": 0}
    assert summary["people"] == [
        {"subject_id": "yao", "display_name": "Yao Ming", "first_seconds": 0.1, "last_seconds": 0.3, "frames": 2}
    ]
    assert summary["age_p50_ms"] == pytest.approx(50, rel=0.02)
    assert "nobody" in statistics.status_line().plain


def test_the_status_line_says_who_is_there() -> None:
    statistics = StreamStatistics(recorded=False, measure_ages=False, clock=lambda: 1.0)
    tracks = [
        track(pb.TRACK_DECISION_UNDECIDED),
        track(pb.TRACK_DECISION_IDENTIFIED, "yao"),
        track(pb.TRACK_DECISION_UNKNOWN),
        track(pb.TRACK_DECISION_UNKNOWN),
    ]
    statistics.count(1, pb.IdentifyStreamResponse(tracks=tracks, dropped=4), None)
    line = statistics.status_line().plain
    assert "dropped 4" in line
    assert line.endswith("yao, 2 unknown, 1 undecided")
    assert "age" not in line


def test_the_end_of_a_stream_counts_its_events_and_no_frame() -> None:
    statistics = StreamStatistics(recorded=False, measure_ages=True, clock=lambda: 1.0)
    statistics.count(1, pb.IdentifyStreamResponse(frame_id=7, tracks=[track(pb.TRACK_DECISION_UNKNOWN)]), None)
    left = pb.TrackEvent(kind=pb.TRACK_EVENT_KIND_LEFT, track_id=1)
    statistics.count(1, pb.IdentifyStreamResponse(frame_id=7, dropped=2, events=[left], end_of_stream=True), None)
    assert (statistics.answered, statistics.dropped, statistics.events["left"]) == (1, 2, 1)
    assert "nobody" in statistics.status_line().plain
