"""Events of a stream."""

from __future__ import annotations

from datetime import UTC, datetime

from facet.v1 import recognition_service_pb2 as pb


def identified(similarity: float = 0.5) -> pb.TrackEvent:
    """Make the event that a track was identified as Yao Ming."""
    event = pb.TrackEvent(
        kind=pb.TRACK_EVENT_KIND_IDENTIFIED,
        track_id=3,
        subject_id="yao",
        display_name="Yao Ming",
        similarity=similarity,
    )
    event.time.FromDatetime(datetime(2025, 1, 2, 3, 4, 5, 678000, UTC))
    return event
