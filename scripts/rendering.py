"""Answers of the service for eyes and for programs."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.table import Table
from rich.text import Text

from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import types_pb2

STAGES = ("decode", "queue", "detect", "faces", "align", "embed", "search", "total")

_UNDECIDED = {pb.DECISION_REFUSED: "refused: too poor"}


def as_dict(message: Message) -> dict[str, Any]:
    """A message as plain values, its fields named as in the proto, the unset ones without presence included."""
    plain: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return plain


def faces_table(title: str, response: pb.IdentifyResponse) -> Table:
    """One row a face: where it is, whose it is, how sure, and who comes next."""
    table = Table(title=title, title_justify="left", caption=timings_line(response.timings), caption_justify="left")
    for column, justify in (
        ("face", "right"),
        ("box", "left"),
        ("decision", "left"),
        ("similarity", "right"),
        ("runner-up", "left"),
        ("quality", "right"),
    ):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for number, face in enumerate(response.faces, start=1):
        candidates = face.identification.candidates
        decision = face.identification.decision
        matched = decision == pb.DECISION_MATCH
        box = face.face.box
        table.add_row(
            str(number),
            f"{box.x1:.0f},{box.y1:.0f} - {box.x2:.0f},{box.y2:.0f}",
            Text(_name(candidates[0]), "bold green") if matched else _UNDECIDED.get(decision, "unknown"),
            f"{candidates[0].similarity:.3f}" if candidates else "-",
            f"{_name(candidates[1])} {candidates[1].similarity:.3f}" if len(candidates) > 1 else "-",
            f"{face.face.quality.value:.2f}",
        )
    return table


def timings_line(timings: types_pb2.Timings) -> str:
    """The milliseconds of each stage, in a line."""
    return "ms: " + ", ".join(f"{stage} {getattr(timings, stage + '_ms'):.1f}" for stage in STAGES)


def _name(candidate: pb.Candidate) -> str:
    return candidate.display_name or candidate.subject_id
