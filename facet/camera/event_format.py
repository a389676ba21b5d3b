"""Events of a stream, as JSON and as text."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from facet.v1 import recognition_service_pb2 as pb

EVENT_NAMES = {
    pb.TRACK_EVENT_KIND_APPEARED: "appeared",
    pb.TRACK_EVENT_KIND_IDENTIFIED: "identified",
    pb.TRACK_EVENT_KIND_CHANGED: "changed",
    pb.TRACK_EVENT_KIND_UNKNOWN: "unknown",
    pb.TRACK_EVENT_KIND_LEFT: "left",
}


def display_name(found: pb.Track | pb.TrackEvent) -> str:
    """The subject's name for people, or its id; empty if there is no subject."""
    return found.display_name or found.subject_id


def event_row(
    camera: str, connection: int, frame_id: int, event: pb.TrackEvent, seconds: float, *, recorded: bool
) -> dict[str, Any]:
    """An event as a JSON object.

    The time of day is null for a recording, so that every run gives the same rows.

    Args:
        camera: the camera's name.
        connection: the number of the stream.
        frame_id: the frame that showed the event.
        event: the event.
        seconds: when it happened, since the camera's first frame; of a recording its own time.
        recorded: whether the frames come from a recording.
    """
    return {
        "seconds": round(seconds, 3),
        "time": None if recorded else event.time.ToDatetime(UTC).isoformat(timespec="milliseconds"),
        "camera": camera,
        "connection": connection,
        "frame_id": frame_id,
        "event": EVENT_NAMES[event.kind],
        "track_id": event.track_id,
        "subject_id": event.subject_id or None,
        "display_name": event.display_name or None,
        "previous_subject_id": event.previous_subject_id or None,
        "similarity": round(event.similarity, 4) if event.HasField("similarity") else None,
    }


def event_line(event: pb.TrackEvent, seconds: float, *, recorded: bool) -> str:
    """An event as a line of text; see :func:`event_row`."""
    when = f"{seconds:9.2f} s" if recorded else f"{event.time.ToDatetime(UTC).astimezone():%H:%M:%S}"
    name, similarity = (
        display_name(event),
        f", similarity {event.similarity:.2f}" if event.HasField("similarity") else "",
    )
    if event.kind == pb.TRACK_EVENT_KIND_APPEARED:
        text = "appeared"
    elif event.kind == pb.TRACK_EVENT_KIND_LEFT:
        text = f"left: {name}" if name else "left"
    elif event.kind == pb.TRACK_EVENT_KIND_UNKNOWN:
        text = "is nobody in the gallery"
    elif event.kind == pb.TRACK_EVENT_KIND_IDENTIFIED:
        text = f"is {name}{similarity}"
    else:
        text = f"is {name}{similarity}, not {event.previous_subject_id}" if name else "has no name any more"
    return f"{when}  #{event.track_id} {text}"
