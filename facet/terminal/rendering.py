"""Responses of the server as tables and lines for people, and as plain values for programs."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.table import Table
from rich.text import Text

from facet.terminal import tables
from facet.terminal.command_line.program import spelled
from facet.terminal.counts import counted
from facet.terminal.visible import one_line
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import types_pb2
from gallery.records.calibrations import fpir_at_size

STAGES = ("decode", "queue", "detect", "faces", "align", "embed", "search", "total")

_SMALL_FACE = 60
"""Height in pixels. Pictures of up to about 1,800 pixels are searched for such faces without ``--thorough``."""
_STALE_REASONS = {
    gallery_pb.STALE_REASON_OUTGROWN: "the gallery has outgrown it",
    gallery_pb.STALE_REASON_CONTRACT_CHANGED: "the embedding model is another",
    gallery_pb.STALE_REASON_THRESHOLD_CHANGED: "the threshold was set by hand since",
    gallery_pb.STALE_REASON_MEAN_OF_BEST_CHANGED: "mean_of_best was changed since",
}


def as_dict(message: Message) -> dict[str, Any]:
    """A message as plain values. Fields are named as in the proto; unset fields without presence are included."""
    plain: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return plain


def faces_table(title: str, response: pb.IdentifyResponse, *, thorough: bool = False) -> Table:
    """One row per face: its box as ``--face`` takes it, the decision, the similarity, and the runner-up.

    If a face was turned, a column shows by how many degrees, clockwise. The last line says below which height faces may
    be missed in a large picture.

    Args:
        title: the picture.
        response: the answer.
        thorough: whether the search was thorough.
    """
    is_turned = any(face.face.turn for face in response.faces)
    table = tables.table(
        tables.number("face"),
        tables.whole("box"),
        *((tables.number("turned"),) if is_turned else ()),
        "decision",
        tables.number("similarity"),
        "runner-up",
        tables.number("quality"),
        title=one_line(title),
    )
    last = timings_line(response.timings) + _may_be_missed(response.least_face_height, thorough=thorough)
    table.caption = Text(last, "table.caption", no_wrap=False, overflow="fold")
    table.caption_justify = "left"
    for number, face in enumerate(response.faces, start=1):
        candidates = face.identification.candidates
        box = face.face.box
        table.add_row(
            str(number),
            ",".join(f"{corner:.0f}" for corner in (box.x1, box.y1, box.x2, box.y2)),
            *((f"{face.face.turn}\u00b0",) if is_turned else ()),
            _decision(face.identification),
            f"{candidates[0].similarity:.3f}" if candidates else "-",
            f"{_name(candidates[1])} {candidates[1].similarity:.3f}" if len(candidates) > 1 else "-",
            f"{face.face.quality.value:.2f}",
        )
    return table


def threshold_line(gallery: gallery_pb.Gallery) -> str:
    """One line with a gallery's threshold and the state of its calibration."""
    said = f"threshold {gallery.threshold:.4f}"
    if not gallery.HasField("calibration"):
        return f"{said}, not calibrated: see {spelled('facet calibrate --help')}"
    chosen = gallery.calibration
    said += f", calibrated {chosen.create_time.ToDatetime():%Y-%m-%d} for {interval(chosen, chosen.for_template_count)}"
    if not gallery.stale_reasons:
        return said
    return f"{said}; stale: {_stale(gallery)}; see {spelled('facet calibrate --help')}"


def threshold_source(gallery: gallery_pb.Gallery) -> str:
    """Where a gallery's threshold comes from; the server does not tell its default from one set by hand."""
    if not gallery.HasField("calibration"):
        return "default or set by hand"
    by_hand = gallery_pb.STALE_REASON_THRESHOLD_CHANGED in gallery.stale_reasons
    return "set by hand" if by_hand else "calibration"


def calibration_state(gallery: gallery_pb.Gallery) -> str:
    """Whether a gallery is calibrated, for which FPIR, and why its calibration no longer holds."""
    if not gallery.HasField("calibration"):
        return "none"
    if gallery.stale_reasons:
        return f"stale: {_stale(gallery)}"
    return f"FPIR {percent(gallery.calibration.target_fpir)}"


def interval(chosen: gallery_pb.Calibration, templates: int) -> str:
    """The FPIR of a calibration, with its interval, at a number of templates."""
    value, low, high = (
        percent(fpir_at_size(share, chosen.template_count, templates))
        for share in (chosen.fpir, chosen.fpir_low, chosen.fpir_high)
    )
    return f"FPIR {value} (95 % interval {low} to {high}) at {counted(templates, 'template')}"


def percent(share: float) -> str:
    """A share as a percentage with three digits."""
    return f"{100 * share:.3g} %"


def timings_line(timings: types_pb2.Timings) -> str:
    """One line with the milliseconds of each stage."""
    return "ms: " + ", ".join(f"{stage} {getattr(timings, stage + '_ms'):.1f}" for stage in STAGES)


def _may_be_missed(least_height: float, *, thorough: bool) -> str:
    """A line about faces that are small in a large picture; empty if few can be."""
    if least_height <= _SMALL_FACE:
        return ""
    said = f"\nfaces below {least_height:.0f} pixels in height may be missed"
    return said if thorough else f"{said}; --thorough looks for smaller ones"


def _stale(gallery: gallery_pb.Gallery) -> str:
    return ", ".join(_STALE_REASONS.get(reason, "changed") for reason in gallery.stale_reasons)


def _decision(found: pb.Identification) -> Text:
    """The name of a match; otherwise why there is none."""
    if found.decision == pb.DECISION_MATCH:
        return Text(_name(found.candidates[0]), "bold green")
    if found.decision == pb.DECISION_REFUSED:
        return Text("refused: poor quality")
    if found.taken:
        best = found.taken[0]
        return Text(f"unknown: {_name(best.candidate)} is face {best.face + 1}")
    if found.too_close_to:
        return Text(f"unknown: {_name(found.candidates[0])} or {one_line(found.too_close_to)}, told apart")
    return Text("unknown")


def _name(candidate: pb.Candidate) -> str:
    return one_line(candidate.display_name or candidate.subject_id)
