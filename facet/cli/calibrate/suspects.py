"""The page of a calibration's suspects: the two faces of each side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facet import Client
from facet.cli.shared.crops import Crops
from facet.cli.shared.probes import Probe
from facet.evaluation.report.thumbnails import thumbnail
from facet.terminal import private_files
from facet.terminal.counts import counted
from facet.terminal.pictures.pairs_page import Pair, Section, Side, render
from facet.terminal.rendering import percent
from facet.v1 import gallery_service_pb2 as pb


def write_page(
    file: Path, client: Client, gallery: str, response: pb.CalibrateGalleryResponse, probes: Sequence[Probe]
) -> None:
    """Write a page with the faces of all suspects in an answer; only its owner can read it.

    Args:
        file: the page; it is replaced if it exists.
        client: the connection, which reads the stored faces.
        gallery: the gallery.
        response: the answer.
        probes: the probes as they were sent; empty if the gallery was calibrated against itself.

    Raises:
        OSError: the page cannot be written.
    """
    crops = Crops(client, gallery)
    pairs = [_pair(suspect, crops, probes) for suspect in response.suspects]
    text = [_summary(response)]
    if any(side.picture is None for pair in pairs for side in (pair.left, pair.right)):
        text.append(
            "The server stores faces only if enrollment.keep_crops is on while they are enrolled. To find the picture "
            "of a template without one, compare its SHA-256 with those of your files: sha256sum FILES."
        )
    meaning = "The most similar come first. Two of one family, or twins, may be among them."
    page = render(f"Suspects of {gallery}", text, [Section("Are they one person?", meaning, pairs)])
    private_files.write(file, page)


def _summary(response: pb.CalibrateGalleryResponse) -> str:
    count = response.suspect_count
    if not count:
        return "No two people are more similar than different people usually are."
    said = f"{counted(count, 'pair')} of people, more similar than different people usually are"
    shown = len(response.suspects)
    return f"{said}." if shown == count else f"{said}; the page shows the {shown} most similar."


def _pair(suspect: pb.CalibrationSuspect, crops: Crops, probes: Sequence[Probe]) -> Pair:
    facts = [
        ("similarity", f"{suspect.similarity:.3f}"),
        ("chance that they are one person", percent(suspect.chance)),
    ]
    right = crops.side(suspect.other_subject_id, suspect.other_template_id)
    if not suspect.HasField("probe"):
        return Pair(crops.side(suspect.subject_id, suspect.template_id), right, facts)
    path = probes[suspect.probe].path
    return Pair(Side(suspect.subject_id, [f"probe {path}"], thumbnail(path)), right, facts)
