"""What two answers to the same question have in common."""

from __future__ import annotations

from facet.v1 import recognition_service_pb2 as pb


def faces_of(answer: pb.IdentifyResponse) -> list[pb.IdentifiedFace]:
    """The faces of an answer without their answer ids: each answer has its own."""
    found = []
    for face in answer.faces:
        copied = pb.IdentifiedFace()
        copied.CopyFrom(face)
        assert copied.identification.answer_id or copied.identification.decision == pb.DECISION_REFUSED
        copied.identification.ClearField("answer_id")
        found.append(copied)
    return found


def events_of(answer: pb.IdentifyStreamResponse) -> list[pb.TrackEvent]:
    """The events of an answer without their answer ids."""
    found = []
    for event in answer.events:
        copied = pb.TrackEvent()
        copied.CopyFrom(event)
        copied.ClearField("answer_id")
        found.append(copied)
    return found
