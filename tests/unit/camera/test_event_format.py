"""Events as JSON and as text."""

from __future__ import annotations

import pytest

from facet.camera.event_format import event_line, event_row
from facet.v1 import recognition_service_pb2 as pb
from tests.unit.camera.samples import identified


def test_an_event_as_json() -> None:
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
        (pb.TrackEvent(kind=pb.TRACK_EVENT_KIND_UNKNOWN, track_id=1), "#1 is nobody in the gallery"),
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
def test_an_event_as_text(event: pb.TrackEvent, said: str) -> None:
    assert event_line(event, 2.5, recorded=True).startswith("     2.50 s  #")
    assert event_line(event, 2.5, recorded=True).endswith(said)
