"""Converts tracks and events to messages."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from facet.server.wire import convert
from facet.tracking.decision import Decision
from facet.tracking.records import EventKind, Track, TrackEvent
from facet.v1 import recognition_service_pb2 as pb
from gallery.times import LATEST, to_microseconds

_DECISIONS = {
    Decision.UNDECIDED: pb.TRACK_DECISION_UNDECIDED,
    Decision.IDENTIFIED: pb.TRACK_DECISION_IDENTIFIED,
    Decision.UNKNOWN: pb.TRACK_DECISION_UNKNOWN,
}
_KINDS = {
    EventKind.APPEARED: pb.TRACK_EVENT_KIND_APPEARED,
    EventKind.IDENTIFIED: pb.TRACK_EVENT_KIND_IDENTIFIED,
    EventKind.CHANGED: pb.TRACK_EVENT_KIND_CHANGED,
    EventKind.UNKNOWN: pb.TRACK_EVENT_KIND_UNKNOWN,
    EventKind.LEFT: pb.TRACK_EVENT_KIND_LEFT,
}


def track(found: Track) -> pb.Track:
    """Convert a track."""
    identity = found.identity
    return pb.Track(
        track_id=found.track_id,
        face_box=None if found.face_box is None else convert.box_message(found.face_box.tolist()),
        person_box=None if found.person_box is None else convert.box_message(found.person_box.tolist()),
        landmarks=None if found.landmarks is None else convert.landmarks(found.landmarks),
        decision=_DECISIONS[identity.decision],
        subject_id=identity.subject_id,
        display_name=identity.display_name,
        similarity=_similarity(identity.similarity),
        decided_for_ms=found.decided_for * 1e3,
        tracked_for_ms=found.tracked_for * 1e3,
        face_quality=found.quality,
        too_close_to=identity.too_close_to,
    )


def event(happened: TrackEvent) -> pb.TrackEvent:
    """Convert an event."""
    return pb.TrackEvent(
        kind=_KINDS[happened.kind],
        track_id=happened.track_id,
        subject_id=happened.subject_id,
        display_name=happened.display_name,
        previous_subject_id=happened.previous_subject_id,
        similarity=_similarity(happened.similarity),
        time=_moment(happened.time),
    )


def _similarity(value: float) -> float | None:
    """``None`` for the tracker's -1, which means none."""
    return None if value <= -1 else value


def _moment(seconds: float) -> Timestamp:
    message = Timestamp()
    message.FromMicroseconds(min(round(seconds * 1e6), to_microseconds(LATEST)))
    return message
