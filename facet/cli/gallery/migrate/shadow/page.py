"""The page of a shadow report: its figures, and the faces that the two models disagree about beside whom they name."""

from __future__ import annotations

from collections.abc import Iterator

from facet import Client, PermissionDenied
from facet.cli.gallery.migrate.shadow import figures
from facet.cli.gallery.migrate.shadow.figures import Models
from facet.cli.people.options import utc
from facet.cli.shared.crops import Crops
from facet.terminal.pictures.pairs_page import Figures, Pair, Section, Side, png, render
from facet.v1 import migrations_pb2 as pb
from facet.v1 import recognition_service_pb2 as recognition_pb

_NOT_STORED = (
    "Faces are shown only where the server may keep them: enrollment.keep_crops must be on, for enrolled people while "
    "they were enrolled."
)


def page(client: Client, gallery: str, report: pb.GetShadowReportResponse, models: Models) -> str:
    """Return the page as HTML.

    Args:
        client: the connection, which reads the stored faces of the people who are named.
        gallery: the gallery.
        report: the report, with crops.
        models: the models.
    """
    crops = Crops(client, gallery)
    pairs = [(each, list(_pairs(each, crops, models))) for each in report.disagreements]
    sections = [
        Section(title, text, [pair for each, found in pairs if _kind(each) == kind for pair in found])
        for kind, title, text in _sections(models)
    ]
    text = [f"{name.capitalize()}: {value}." for name, value in figures.summary(report)]
    if any(side.picture is None for section in sections for pair in section.pairs for side in (pair.left, pair.right)):
        text.append(_NOT_STORED)
    tables = [
        Figures(
            "Decisions",
            f"{models.searching} answered; {models.other} searched for the same faces.",
            figures.decision_columns(models),
            figures.decisions(report),
        ),
        Figures(
            "Similarities and costs",
            "Similarities are those of the best subject. Each model has a scale and a threshold of its own.",
            ("", models.searching, models.other),
            figures.similarities(report, models.thresholds),
        ),
        Figures(
            "Distributions",
            "Faces by the similarity of their best subject.",
            ("similarity", models.searching, models.other),
            figures.histogram(report),
        ),
    ]
    return render(f"{models.searching} and {models.other} in {gallery}", text, sections, figures=tables)


def _sections(models: Models) -> tuple[tuple[str, str, str], ...]:
    seen = "The left face was seen, the right one is enrolled."
    return (
        ("different", "They name different people", f"{seen} Each such face is there twice, once for each model."),
        ("serving", f"Only {models.searching} recognises somebody", seen),
        ("shadow", f"Only {models.other} recognises somebody", seen),
    )


def _kind(found: pb.ShadowDisagreement) -> str:
    matches = [each.decision == recognition_pb.DECISION_MATCH for each in (found.serving, found.shadow)]
    return "different" if all(matches) else "serving" if matches[0] else "shadow"


def _pairs(found: pb.ShadowDisagreement, crops: Crops, models: Models) -> Iterator[Pair]:
    """Yield the face beside each person whom a model names."""
    seen = Side("seen", [f"{utc(found.time)} UTC"], png(found.crop_png))
    facts = [(models.searching, figures.said(found.serving)), (models.other, figures.said(found.shadow))]
    for each in (found.serving, found.shadow):
        if each.decision == recognition_pb.DECISION_MATCH:
            yield Pair(seen, _enrolled(each.candidates[0], crops), facts)


def _enrolled(named: recognition_pb.Candidate, crops: Crops) -> Side:
    try:
        return crops.side(named.subject_id, named.template_id)
    except PermissionDenied:
        return Side(named.subject_id, [f"template {named.template_id}", "its face may be seen by those who may export"])
