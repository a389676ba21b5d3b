"""The page of a calibration's suspects: the two faces of each side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facet import Client
from facet.cli.calibrate.report import Request
from facet.cli.gallery.duplicates.corrections import Corrections, merged
from facet.cli.shared.crops import Crops
from facet.cli.shared.probes import Probe
from facet.evaluation.report.thumbnails import thumbnail
from facet.terminal import private_files
from facet.terminal.counts import counted
from facet.terminal.pictures.pairs_page import Pair, Section, Side, render
from facet.v1 import gallery_service_pb2 as pb


def write_page(
    file: Path, client: Client, request: Request, response: pb.CalibrateGalleryResponse, probes: Sequence[Probe]
) -> None:
    """Write a page with the faces of all suspects in an answer; only its owner can read it.

    Args:
        file: the page; it is replaced if it exists.
        client: the connection, which reads the stored faces.
        request: what was asked for.
        response: the answer.
        probes: the probes as they were sent; empty if the gallery was calibrated against itself.

    Raises:
        OSError: the page cannot be written.
    """
    cohort = response.calibration.data_set
    is_cohort = response.calibration.source == pb.CALIBRATION_SOURCE_ITSELF_AND_COHORT
    crops = Crops(client, request.gallery, *([cohort] if is_cohort and cohort else []))
    corrections = Corrections(request.gallery, request.address)
    pairs = [_pair(suspect, crops, probes, corrections) for suspect in response.suspects]
    text = [_summary(response)]
    if any(side.picture is None for pair in pairs for side in (pair.left, pair.right)):
        text.append(
            "The server stores faces only if enrollment.keep_crops is on while they are enrolled. To find the picture "
            "of a template without one, compare its SHA-256 with those of your files: sha256sum FILES."
        )
    meaning = (
        "The most similar come first. Relatives may be among them. If the two faces are one person, that person has two"
        " ids, or a picture is under the wrong name: look at all their pictures before you merge."
    )
    page = render(f"Suspects of {request.gallery}", text, [Section("Are they one person?", meaning, pairs)])
    private_files.write(file, page)


def _summary(response: pb.CalibrateGalleryResponse) -> str:
    count = response.suspect_count
    if not count:
        return "No two people are more similar than different people usually are."
    said = f"{counted(count, 'pair')} of people, more similar than different people usually are"
    shown = len(response.suspects)
    return f"{said}." if shown == count else f"{said}; the page shows the {shown} most similar."


def _pair(suspect: pb.CalibrationSuspect, crops: Crops, probes: Sequence[Probe], corrections: Corrections) -> Pair:
    facts = [("chance", f"{suspect.chance:.3f}"), ("similarity", f"{suspect.similarity:.3f}")]
    right = crops.side(suspect.other_subject_id, suspect.other_template_id)
    if suspect.HasField("probe"):
        path = probes[suspect.probe].path
        return Pair(Side(suspect.subject_id, [f"probe {path}"], thumbnail(path)), right, facts)
    left = crops.side(suspect.subject_id, suspect.template_id)
    return Pair(left, right, facts, _commands(suspect, crops, corrections))


def _commands(suspect: pb.CalibrationSuspect, crops: Crops, corrections: Corrections) -> list[tuple[str, str]]:
    """Return what to type if both are in the gallery: one of a cohort is somebody else's to correct."""
    own = crops.template(suspect.subject_id, suspect.template_id)
    other = crops.template(suspect.other_subject_id, suspect.other_template_id)
    if own is None or other is None or own.template.gallery_id != corrections.gallery:
        return []
    same = _finding(pb.DuplicateFinding.KIND_SAME_PERSON, own, other)
    for side in (same.template, same.other_template):
        if (created := crops.created(side.template.subject_id)) is not None:
            side.subject_create_time.CopyFrom(created)
    merge, apart = corrections.of(same)
    _, kept = merged(same)
    moves = [
        (corrections.of(_finding(pb.DuplicateFinding.KIND_OTHER_SUBJECT, one, another))[0][0], f"if only the {which}")
        for one, another, which in ((own, other, "left picture"), (other, own, "right picture"))
        if crops.count(one.template.subject_id) > 1
    ]
    return [
        (merge[0], f"if all their pictures show one person; {kept} keeps the id"),
        *((command, f"{which} is under the wrong name") for command, which in moves),
        apart,
    ]


def _finding(
    kind: pb.DuplicateFinding.Kind.ValueType, own: pb.StoredTemplate, other: pb.StoredTemplate
) -> pb.DuplicateFinding:
    return pb.DuplicateFinding(
        kind=kind,
        template=pb.FoundTemplate(template=own.template),
        other_template=pb.FoundTemplate(template=other.template),
        template_ids=[own.template.template_id],
    )
